"""eci-mounter as the supervisor sees it: a process that is asked one thing at a time.

It does what must not be done here: it enters namespaces of the container and walks its paths (the trio loop would wait for its own FUSE
mount). Its binary and what it may do are described in native/mounter.h.
"""
import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import trio

from eci_supervisor.cgroup import delegate
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import PIDFD_GETFD, syscall
from eci_supervisor.model.emulation import Caller, MounterGone, MounterStuck, Outcome
from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import TreeKind, TreePlan
from eci_supervisor.model.verdict import Effect, Judged, Reconfigure, RemountSuperblock
from eci_supervisor.mounts import wire
from eci_supervisor.mounts.mountinfo import MountinfoError, parse_mountinfo
from eci_supervisor.seccomp.held import FIRST, ROOT
from eci_supervisor.seccomp.judge import Judge, Judgement

PROGRAM: Final = Path(__file__).parents[1] / "bin" / "eci-mounter"
GONE: Final = "the mounter has ended"
TREE_TYPES: Final = frozenset(kind.value for kind in TreeKind)
TREES_LIMIT: Final = 250  # MAX_SEEN of native/existing.c, less the call's own
PATH_MAX: Final = 400  # of one of them: all have to fit into a packet
LANES: Final = 2
LANE_WAIT_US: Final = 5000  # for a tree that is being made; then the mounter is asked for one
LOOKS: Final = 8  # at a mount table that changes under our eyes
DEADLINE_S: Final = 5.0  # above the mounter's own for each of its children


class LocksBroken(RuntimeError):
    """A fresh procfs or sysfs can be mounted in the container: the text says which. Its mounts protect nothing."""


class Mounter:
    """One mounter process. Requests are put one after the other; a deadline ends a silent one."""

    def __init__(self, sock: trio.socket.SocketType, lanes: Sequence[socket.socket], pid: int) -> None:
        self._socket = sock
        self._lanes = lanes
        self._pidfd = OwnedFd(os.pidfd_open(pid))
        self._lock = trio.Lock()
        self._gone = False
        self._closed = False

    @classmethod
    async def start(cls, nodes: int, *options: str) -> "Mounter":
        """Starts it on an open_tree clone of a directory with the FUSE mounts `nodes` and `tunables` in it, which is borrowed.

        Raises MounterGone if it does not come up.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lanes, their_lanes = zip(*(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(LANES)), strict=True)
        for lane in lanes:
            lane.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, LANE_WAIT_US))
        with theirs, their_lanes[0], their_lanes[1]:
            fds = (theirs.fileno(), *(lane.fileno() for lane in their_lanes), nodes)
            # dup2 onto the same number clears close-on-exec: see posix_spawn_file_actions_adddup2(3)
            keep = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds]
            arguments = [str(PROGRAM), *map(str, fds), *options]
            pid = os.posix_spawn(PROGRAM, arguments, {}, file_actions=keep, setsigmask=[])  # noqa: ASYNC221 # returns once it runs
        mounter = cls(trio.socket.from_stdlib_socket(ours), lanes, pid)
        await mounter._receive()
        return mounter

    async def plan(self, plan: TreePlan) -> None:
        """Says what trees of `plan.kind` consist of; its nodes are opened now. Raises OSError that names the path."""
        await self._done(wire.plan_request(plan), f"plan of {plan.kind.value.decode()}")

    @property
    def lanes(self) -> tuple[int, ...]:
        """From them serving threads take what it makes ahead of time (native/lane.c): trees, contexts of a tmpfs. Valid until close."""
        return tuple(lane.fileno() for lane in self._lanes)

    async def container(self, init: int, *, tmpfs: bool = False) -> None:
        """Takes hold of the container whose init is process `init`. tmpfs: contexts of one shall lie in their lane. Raises OSError."""
        await self._done(wire.request(wire.Kind.CONTAINER, pid=init, flags=int(tmpfs)), f"init {init}")

    async def attach_first(self, rootfs: bytes, late: Sequence[LateBind], sysctls: Sequence[tuple[bytes, bytes]]) -> None:
        """Attaches the trees below `rootfs` in init's mount namespace, before init pivots; late binds too. Raises OSError.

        What the runtime has mounted at ROOTFS/sys/fs/cgroup is carried over onto our sysfs. sysctls: written before as container root; a
        key is spelled as sysctl(8) does: with dots, a slash for a dot inside a name, or the other way round.
        """
        values = [(sysctl_path(key), value) for key, value in sysctls]
        reply = await self.ask(wire.attach_request(rootfs, late, values))
        of_sysctl = any(path.decode(errors="backslashreplace").startswith(reply.what or "/") for path, _ in values)
        if of_sysctl and reply.error == errno.ENOENT:  # net.core.somaxconn of a network namespace that a user namespace owns: not in 6.1
            raise OSError(errno.ENOENT, f"sysctl {reply.what}: this kernel has none in a container's namespaces")
        raise_for(reply, "sysctl" if of_sysctl else "attach")

    async def delegate_cgroup(self, init: int, owner: int) -> None:
        """Gives the cgroups of process `init` to host id `owner`, as far as the kernel delegates. Raises OSError."""
        await trio.to_thread.run_sync(delegate.delegate, init, owner)

    async def prove(self) -> None:
        """Tries a fresh procfs and sysfs in the container's namespaces. Raises LocksBroken, or OSError if it could not try."""
        reply = await self.ask(wire.request(wire.Kind.PROVE))
        if reply.error == errno.ENOTUNIQ:
            raise LocksBroken(f"a fresh {reply.what} can be mounted in this mount namespace, so mounts are not locked in it")
        raise_for(reply, "proof of the locks")

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
        """Does `effect` as the caller and answers the notification, unless the target is no tree. Raises MounterGone, MounterStuck."""
        trees = await trio.to_thread.run_sync(trees_of, caller.tid) if isinstance(effect, RemountSuperblock | Reconfigure) else ()
        try:
            packet = wire.emulate_request(effect, caller, trees)
        except wire.WireError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        reply = await self.ask(packet, caller.notify_fd)
        uid = reply.uid if reply.pid else None
        return Outcome(reply.error, reply.not_tree, reply.undone, uid=uid, pid=reply.pid, made=reply.mount_id)

    async def emulate_judged(self, verdict: Judged, caller: Caller, judge: Judge) -> Outcome:
        """Looks up what the verdict names, and if `judge` says 0 does its effect with that; else its errno is the answer.

        Nobody else is served meanwhile. Raises MounterGone, MounterStuck.
        """
        try:
            look = wire.resolve_request((*verdict.names, ROOT), caller)
        except wire.WireError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        async with self._lock:
            reply, judged = await self._look_and_do(look, verdict, caller, judge)
            for left in reversed(range(LOOKS)):
                if not reply.not_tree or reply.error:  # else there are other mounts than were looked at
                    break
                reply, judged = await self._look_and_do(look, verdict, caller, judge if left else _given_up)
        uid = reply.uid if reply.pid else None
        denied = judged.errno != 0 or (judged.below != 0 and reply.error == judged.below)
        return Outcome(reply.error, reply.not_tree, reply.undone, denied=denied, uid=uid, pid=reply.pid, made=reply.mount_id)

    async def _look_and_do(self, look: bytes, verdict: Judged, caller: Caller, judge: Judge) -> tuple[wire.Reply, Judgement]:
        reply = await self._ask(look, caller.notify_fd)
        if not reply.not_tree or reply.error:
            return reply, Judgement()  # it has been answered, or nobody may look
        judged = await judge(tuple(self._held(len(verdict.names) + 1)))
        if judged.places:
            with judged.places as places:
                if not await trio.to_thread.run_sync(places.are_as_before):
                    return reply, judged
                reply = await self._ask(wire.copy_request(verdict.sources[0], caller), caller.notify_fd)
                if not reply.not_tree or reply.error or not await trio.to_thread.run_sync(places.are_as_before):
                    return reply, judged
        request = wire.emulate_request(
            verdict.effect, caller, held=1 + judged.errno, alone=judged.alone, below=judged.below, copied=judged.places is not None)
        return await self._ask(request, caller.notify_fd), judged

    def _held(self, count: int) -> Iterator[OwnedFd]:
        """Copies of what it holds: the mount table, then what the names led to, in their order."""
        for number in range(FIRST, FIRST + 1 + count):
            yield OwnedFd(syscall(PIDFD_GETFD, self._pidfd.fileno(), number, 0, what="a descriptor of the mounter"))

    def fileno(self) -> int:
        """The socket to it."""
        return self._socket.fileno()

    async def wait_dead(self) -> None:
        """Returns when the process has ended."""
        await trio.lowlevel.wait_readable(self._pidfd.fileno())
        self._gone = True

    def close(self) -> None:
        """Ends and reaps it."""
        if self._closed:
            return
        self._closed = self._gone = True
        self._socket.close()
        for lane in self._lanes:
            lane.close()
        signal.pidfd_send_signal(self._pidfd.fileno(), signal.SIGKILL)
        os.waitid(os.P_PIDFD, self._pidfd.fileno(), os.WEXITED)
        self._pidfd.close()

    async def _done(self, packet: bytes, what: str) -> None:
        raise_for(await self.ask(packet), what)

    async def ask(self, packet: bytes, fd: int | None = None) -> wire.Reply:
        """Sends one packet, with a descriptor if given, and waits for the reply. Raises MounterGone, MounterStuck."""
        async with self._lock:
            return await self._ask(packet, fd)

    async def _ask(self, packet: bytes, fd: int | None) -> wire.Reply:
        """The same, in one's turn."""
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", fd))]
        if self._gone:
            raise MounterGone(GONE)
        try:
            await self._socket.sendmsg([packet], rights)
        except OSError as error:
            self._gone = True
            raise MounterGone(GONE) from error
        return await self._receive()

    async def _receive(self) -> wire.Reply:
        """Not to be cancelled before its deadline: the answer would be taken for that to the next request."""
        packet = b""
        with trio.move_on_after(DEADLINE_S) as scope:
            scope.shield = True
            with contextlib.suppress(OSError):  # as if it had ended
                packet = await self._socket.recv(wire.REPLY.size + 1)
        if len(packet) == wire.REPLY.size:
            return wire.parse_reply(packet)
        self._end()
        raise MounterStuck(f"the mounter did not answer in {DEADLINE_S:g} s") if scope.cancelled_caught else MounterGone(GONE)

    def _end(self) -> None:
        self._gone = True
        signal.pidfd_send_signal(self._pidfd.fileno(), signal.SIGKILL)


async def _given_up(found: Sequence[OwnedFd]) -> Judgement:
    del found
    return Judgement(errno.EBUSY)


def trees_of(tid: int) -> tuple[bytes, ...]:
    """Where a procfs or sysfs is mounted, as thread `tid` sees it; what lies under another mount is out of its reach.

    A hint, by a number that may be another thread's by now: the mounter looks what is there, as the caller. Without the thread: none.
    """
    try:
        with open(f"/proc/{tid}/mountinfo", "rb") as file:
            table = parse_mountinfo(file.read())
    except (FileNotFoundError, ProcessLookupError, MountinfoError):
        return ()
    found = dict.fromkeys(mount.path for mount in table if mount.fstype in TREE_TYPES and len(mount.path) < PATH_MAX)
    return tuple(found)[:TREES_LIMIT]


def raise_for(reply: wire.Reply, what: str) -> None:
    """Raises the reply's errno as an OSError that names what it is about."""
    if reply.error:
        raise OSError(reply.error, ": ".join(filter(None, (os.strerror(reply.error), what, reply.what))))


def sysctl_path(key: bytes) -> bytes:
    """The path of a sysctl below /proc/sys: whichever of dot and slash comes first is the separator (sysctl.d(5))."""
    dot, slash = key.find(b"."), key.find(b"/")
    if dot == -1 or (slash != -1 and slash < dot):
        return key
    return key.translate(bytes.maketrans(b"./", b"/."))
