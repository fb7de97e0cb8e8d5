"""A container made by hand: namespaces of its own, ids from 100000, a tmpfs for a root, locked trees by a mounter; no runtime, no FUSE.

Nothing is ever mounted in the host's mount namespace: the root file system and the stand-in for the FUSE mount are detached mounts.
"""
import ctypes
import fcntl
import os
import pickle
import signal
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import receive_with_fds, send_with_fds
from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.emulation import Caller, Outcome
from eci_supervisor.model.event import Event
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import Effect, MountTree, OpenTree, RemountBind, RemountSuperblock, UmountTree
from eci_supervisor.mounts.mounter import Mounter
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.lane import Lanes
from eci_supervisor.seccomp.ring import Done, EventRing, RawEvent
from eci_supervisor.seccomp.serve import ServingThread
from tests.support import filtered
from tests.support.waiting import DEADLINE_S

FIRST_ID: Final = 100000
ANSWER_S: Final = 2 * DEADLINE_S
ROOT: Final = "/mnt"  # where the container's root lies before it pivots, in its own mount namespace
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 0x1, 0x20, 0x1000, 0x4000, 1 << 18, 1 << 19
MNT_DETACH, PR_SET_DUMPABLE = 2, 4
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
NR_MOUNT, NR_UMOUNT2, NR_PIVOT_ROOT = 165, 166, 155
NR_OPEN_TREE, NR_MOVE_MOUNT, NR_FSOPEN, NR_FSCONFIG, NR_FSMOUNT, NR_OPEN_TREE_ATTR = 428, 429, 430, 431, 432, 467
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101


def call(number: int, *args: int | bytes | None) -> int:
    """The result of a system call; raises OSError."""
    result = filtered.syscall(number, *args)
    if result < 0:
        raise OSError(-result, os.strerror(-result), f"system call {number}")
    return result


def mount(source: bytes | None, target: bytes, fstype: bytes | None, flags: int, data: bytes | None = None) -> int:
    """mount(2): 0 or -errno."""
    return filtered.syscall(NR_MOUNT, source, target, fstype, flags, data)


def umount(target: bytes, flags: int = 0) -> int:
    """umount2(2): 0 or -errno."""
    return filtered.syscall(NR_UMOUNT2, target, flags)


def unshare(flags: int) -> None:
    """unshare(2); Python 3.11 has none."""
    if filtered.LIBC.unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), f"unshare {flags:#x}")


def detached_tmpfs() -> int:
    """The fd of a tmpfs that is mounted nowhere."""
    context = call(NR_FSOPEN, b"tmpfs", 1)
    call(NR_FSCONFIG, context, 6, None, None, 0)
    made = call(NR_FSMOUNT, context, 1, 0)
    os.close(context)
    return made


def put(root: int, path: str, text: str | None = None) -> None:
    """A file, or a directory where `text` is None, below `root`, with what leads to it; all of it container root's."""
    parts = path.split("/")
    for i in range(1, len(parts) + (text is None)):
        try:
            os.mkdir("/".join(parts[:i]), dir_fd=root)
        except FileExistsError:
            continue
        os.chown("/".join(parts[:i]), FIRST_ID, FIRST_ID, dir_fd=root)
    if text is not None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=root)
        os.write(fd, text.encode())
        os.fchown(fd, FIRST_ID, FIRST_ID)
        os.close(fd)


def nodes(files: dict[str, str]) -> int:
    """A stand-in for the FUSE mount: a tmpfs that holds `files`."""
    root = detached_tmpfs()
    for path, text in files.items():
        put(root, f"nodes/{path}", text)
    return root


@dataclass
class Task:
    """A process in the container that runs one function; under a filter that notifies mount and umount2 if it has a listener."""

    connection: socket.socket
    listener: OwnedFd | None
    pid: int

    def go(self) -> None:
        self.connection.send(b"g")

    def result(self) -> Any:  # noqa: ANN401 # whatever the function returned
        with self.connection:
            received = b""
            while more := self.connection.recv(65536):
                received += more
        ok, value = pickle.loads(received)
        assert ok, value
        return value

    def __enter__(self) -> "Task":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()
        if self.listener:
            self.listener.close()


class Contained:
    """The container's init waits before it pivots (`pivot`), then starts tasks (`start`, `run`)."""

    def __init__(self, *, own_procfs: bool = False) -> None:
        root = detached_tmpfs()
        for path in ("proc", "sys", "tmp", "dev", "a", "b", "ro", "run"):
            put(root, path)
        os.chown(".", FIRST_ID, FIRST_ID, dir_fd=root)
        os.mknod("dev/fuse", stat.S_IFCHR | 0o666, os.makedev(10, 229), dir_fd=root)
        os.chown("dev/fuse", FIRST_ID, FIRST_ID, dir_fd=root)
        ours, theirs = socket.socketpair()
        self._socket = ours
        ours.settimeout(ANSWER_S)
        self._outer = os.fork()
        if self._outer == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            ours.close()
            _outer(theirs, root, own_procfs)
        theirs.close()
        os.close(root)
        assert ours.recv(1) == b"u"
        for kind in ("uid", "gid"):
            Path(f"/proc/{self._outer}/{kind}_map").write_text(f"0 {FIRST_ID} 65536")
        ours.send(b"m")
        assert ours.recv(1) == b"i"
        self.init = int(Path(f"/proc/{self._outer}/task/{self._outer}/children").read_text().split()[0])

    def pivot(self) -> None:
        self._socket.send(b"p")
        assert self._socket.recv(1) == b"d"

    def start(self, function: Callable[..., Any], *args: object, notified: tuple[str, ...] = ()) -> Task:
        """`function` must be importable: it is named to the process, which was forked before. It waits for `go`, and then has the calls
        `notified` trapped."""
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWER_S)
        send_with_fds(self._socket, pickle.dumps((function, args, notified)), [theirs.fileno()])
        theirs.close()
        text, fds, _ = receive_with_fds(ours, 16, 1)
        return Task(ours, fds[0] if fds else None, int(text))

    def run(self, function: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 # whatever it returned
        with self.start(function, *args) as task:
            task.go()
            return task.result()

    def __enter__(self) -> "Contained":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.kill(self.init, signal.SIGKILL)
        self._socket.close()
        os.waitpid(self._outer, 0)


def _outer(connection: socket.socket, root: int, own_procfs: bool) -> None:
    """The runtime's part: stage, namespaces, init."""
    try:
        unshare(CLONE_NEWNS)
        mount(None, b"/", None, MS_REC | MS_PRIVATE)
        call(NR_MOVE_MOUNT, root, b"", -100, ROOT.encode(), 4)
        mount(b"tmpfs", ROOT.encode() + b"/ro", b"tmpfs", 0)
        Path(f"{ROOT}/ro/file").write_text("late\n")
        mount(None, ROOT.encode() + b"/ro", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
        connection.send(b"u")
        connection.recv(1)
        os.setgid(0)
        os.setuid(0)
        os.setgroups([])
        pid = os.fork()
        if pid == 0:
            _init(connection, own_procfs)
        os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _init(connection: socket.socket, own_procfs: bool) -> None:
    if own_procfs:
        assert mount(b"proc", ROOT.encode() + b"/b", b"proc", 0) == 0
    mount(ROOT.encode(), ROOT.encode(), None, MS_REC | MS_BIND)
    mount(b"tmpfs", ROOT.encode() + b"/sys", b"tmpfs", 0)
    os.makedirs(f"{ROOT}/sys/fs/cgroup")
    mount(b"cgroups", ROOT.encode() + b"/sys/fs/cgroup", b"tmpfs", 0)
    os.mkdir(f"{ROOT}/sys/fs/cgroup/memory")
    connection.send(b"i")
    connection.recv(1)
    os.chdir(ROOT)
    call(NR_PIVOT_ROOT, b".", b".")
    umount(b".", MNT_DETACH)
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    filtered.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # setuid cleared it, and only an exec would bring it back
    connection.send(b"d")
    while True:
        received, fds, _ = receive_with_fds(connection, 65536, 1)
        if not received:
            os._exit(0)
        if os.fork() == 0:
            connection.close()
            _task(fds[0], received)
        fds[0].close()


def _task(fd: OwnedFd, request: bytes) -> None:
    connection = socket.socket(fileno=fd.steal())
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        function, args, notified = pickle.loads(request)
        listener = [filtered.install(filtered.notifying(notified))] if notified else []
        send_with_fds(connection, str(os.getpid()).encode(), listener)
        for one in listener:
            os.close(one)
        connection.recv(1)
        try:
            answer: tuple[bool, object] = (True, function(*args))
        except Exception as error:  # noqa: BLE001 # told to the test
            answer = (False, repr(error))
        connection.sendall(pickle.dumps(answer))
    finally:
        os._exit(0)


@dataclass(frozen=True)
class Notified:
    id: int
    tid: int
    nr: int
    args: tuple[int, ...]


def receive(listener: int) -> Notified:
    """The next notification; blocks."""
    buffer = bytearray(80)
    fcntl.ioctl(listener, NOTIF_RECV, buffer)
    fields = struct.unpack("=QIIiIQ6Q", buffer)
    return Notified(fields[0], fields[1], fields[3], fields[6:])


def answer(listener: int, notified: Notified, error: int, *, go_on: bool = False) -> None:
    fcntl.ioctl(listener, NOTIF_SEND, struct.pack("=QqiI", notified.id, 0, -error, int(go_on)))


def memory(tid: int, address: int) -> bytes:
    """What the caller has there, read as a test may: nobody races it."""
    with Path(f"/proc/{tid}/mem").open("rb", buffering=0) as file:
        file.seek(address)
        read: bytes = file.read(4096 - address % 4096) + (file.read(4096) or b"")
    return read


def text(tid: int, address: int) -> bytes:
    """A string of it."""
    return memory(tid, address).split(b"\0")[0] if address else b""


def effect_of(notified: Notified) -> Effect | None:
    """What a supervisor would have done; None: let the kernel."""
    if notified.nr == NR_UMOUNT2:
        return UmountTree(text(notified.tid, notified.args[0]), notified.args[1]) if not notified.args[1] & MNT_DETACH else None
    if notified.nr == NR_OPEN_TREE_ATTR:
        to_set, to_clear, _, _ = struct.unpack("=QQQQ", memory(notified.tid, notified.args[3])[:32])
        plain = notified.args[2] & 0x8001 == 1 and not to_clear
        return OpenTree(-1, text(notified.tid, notified.args[1]), notified.args[2], to_set) if plain else None
    target, flags = text(notified.tid, notified.args[1]), notified.args[3]
    if flags & (MS_REMOUNT | MS_BIND) == MS_REMOUNT | MS_BIND:
        return RemountBind(target, flags)
    if flags & MS_REMOUNT:
        return RemountSuperblock(target, flags, text(notified.tid, notified.args[4]))
    fstype = text(notified.tid, notified.args[2])
    if flags & (MS_BIND | 0x2000 | 15 << 17) or fstype not in (b"proc", b"sysfs"):
        return None
    return MountTree(TreeKind(fstype), target, flags, text(notified.tid, notified.args[4]))


class LaneMounter(Mounter):
    """The same mounter, its lane used as supervisors use it."""


async def served(
    mounter: Mounter, container: Contained, function: Callable[..., Any], *args: object, notified: tuple[str, ...] = ("mount", "umount2"),
    calls: CallRules = NO_RULES, listed: Listed = NOTHING_LISTED,
) -> tuple[Any, list[RawEvent]]:
    """Runs `function` in the container with the calls `notified` vetted as a supervisor with these rules does; its result, and the
    events."""
    with closing(EventRing()) as ring, container.start(function, *args, notified=notified) as task:
        assert task.listener is not None
        thread = ServingThread(OwnedFd(task.listener.steal()), ring, calls=calls, lanes=Lanes(mounter.lanes, calls, listed))
        effects = Effects(mounter, ring, list[Event]().append, container="", root="", calls=calls, listed=lambda: listed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.run, effects.on(thread))
            task.go()
            result = await trio.to_thread.run_sync(task.result)
        return result, ring.snapshot()


async def supervised(
    mounter: Mounter, container: Contained, function: Callable[..., Any], *args: object, notified: tuple[str, ...] = ("mount", "umount2"),
) -> tuple[Any, list[Outcome]]:
    """Runs `function` in the container with the calls `notified` emulated; its result, and what became of each."""
    if isinstance(mounter, LaneMounter):
        result, events = await served(mounter, container, function, *args)
        return result, [Outcome(event.errno, uid=event.uid) for event in events if event.done in (Done.EMULATED, Done.MOUNTED)]
    outcomes: list[Outcome] = []
    with container.start(function, *args, notified=notified) as task:
        assert task.listener is not None
        listener = task.listener.fileno()

        async def serve() -> None:
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    one = receive(listener)
                except OSError:
                    return  # the filter has no user any more
                effect = effect_of(one)
                outcome = await mounter.emulate(effect, Caller(listener, one.id, one.tid)) if effect else None
                if outcome is None or outcome.not_tree:
                    answer(listener, one, 0, go_on=True)
                else:
                    outcomes.append(outcome)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            task.go()
            result = await trio.to_thread.run_sync(task.result)
            nursery.cancel_scope.cancel()
    return result, outcomes
