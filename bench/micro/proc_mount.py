"""A procfs mount in a container, from the caller's mount(2) to its answer, against the same three mounts by root of the host.

Ours is the whole way: filter, serving thread, handler, mounter, locked tree with two nodes, answer. The row "mounter alone" leaves the
supervisor's Python out: a C loop hands the calls to the mounter, so the difference is what a hop through trio costs. Umounts are not
counted. Native: mount(2) of a procfs and two bind mounts of files, in a mount namespace of root's own.
"""
import ctypes
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import trio

from bench.build import built
from bench.harness import P50, Bench, Round, UnavailableError, Variant, ratio
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.event import Event
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.mounts.mounter import Mounter
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.lane import Lanes
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.kernel.contained import MNT_DETACH, MS_PRIVATE, MS_REC, ROOT, Contained, Task, mount, nodes, umount, unshare

SOURCE = Path(__file__).with_suffix(".c")
NODES = {"proc/uptime": "", "proc/meminfo": "", "sys/none": ""}
PROC = TreePlan(TreeKind.PROC, (Entry(b"uptime", Cover.NODE, 1), Entry(b"meminfo", Cover.NODE, 2)))
SYSFS = TreePlan(TreeKind.SYSFS, (Entry(b"devices/system/cpu/online", Cover.SELF),))
CLONE_NEWNS, MS_BIND = 0x20000, 0x1000
LIBC = ctypes.CDLL(None)


def timed(mounts: Sequence[tuple[bytes, bytes, bytes | None, int]], top: bytes, count: int, pause_s: float) -> list[float]:
    """Seconds that `mounts` took together, `count` times; each time they are gone with a lazy umount of `top`."""
    taken = []
    for _ in range(count):
        time.sleep(pause_s)
        start = time.perf_counter()
        failed = sum(LIBC.mount(source, target, fstype, ctypes.c_ulong(flags), None) for source, target, fstype, flags in mounts)
        taken.append(time.perf_counter() - start)
        if failed or umount(top, MNT_DETACH):
            raise OSError("a mount of the bench failed")
    return taken


def inside(count: int, pause_s: float) -> list[float]:
    """In the container: one call makes procfs and nodes."""
    return timed(((b"proc", b"/a", b"proc", 0),), b"/a", count, pause_s)


def natively(count: int, pause_s: float) -> bytes:
    """As root of the host, in a mount namespace of its own."""
    unshare(CLONE_NEWNS)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)
    mount(b"bench", b"/mnt", b"tmpfs", 0)
    os.mkdir("/mnt/proc")
    Path("/mnt/file").touch()
    binds = ((b"/mnt/file", b"/mnt/proc/" + name, None, MS_BIND) for name in (b"uptime", b"meminfo"))
    taken = timed(((b"proc", b"/mnt/proc", b"proc", 0), *binds), b"/mnt/proc", count, pause_s)
    return struct.pack(f"={count}d", *taken)


@contextmanager
def native(count: int, pause_s: float) -> Iterator[Round]:
    if os.geteuid() != 0:
        raise UnavailableError("not root")

    def once() -> Sequence[float]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, natively(count, pause_s))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            taken = file.read()
        os.waitpid(pid, 0)
        return struct.unpack(f"={count}d", taken)

    yield once


class Loop:
    """A mounter with its container, in a trio loop of its own thread; `call` runs a function there."""

    def __init__(self) -> None:
        self.token: trio.lowlevel.TrioToken | None = None
        self._up, self._over = threading.Event(), trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._up.wait()

    async def _main(self) -> None:
        root = nodes(NODES)
        self.mounter = await Mounter.start(root)
        os.close(root)
        with Contained() as self.container:
            await self.mounter.plan(PROC)
            await self.mounter.plan(SYSFS)
            await self.mounter.container(self.container.init, tmpfs=True)
            await self.mounter.attach_first(ROOT.encode(), [], [])
            self.container.pivot()
            self.token = trio.lowlevel.current_trio_token()
            self._up.set()
            await self._over.wait()
        self.mounter.close()

    def close(self) -> None:
        trio.from_thread.run_sync(self._over.set, trio_token=self.token)
        self._thread.join()


Serving = Callable[[Loop, OwnedFd], AbstractContextManager[None]]


@contextmanager
def by_supervisor(loop: Loop, listener: OwnedFd, rules: CallRules = NO_RULES, listed: Listed = NOTHING_LISTED) -> Iterator[None]:
    """What a supervisor with these rules does, in its loop."""
    ring = EventRing()
    thread, events = ServingThread(listener, ring, calls=rules, lanes=Lanes(loop.mounter.lanes, rules, listed)), list[Event]()
    effects = Effects(loop.mounter, ring, events.append, container="bench", root="", calls=rules, listed=lambda: listed)
    served = threading.Thread(target=lambda: trio.from_thread.run(thread.run, effects.on(thread), trio_token=loop.token))
    served.start()
    yield
    served.join()  # the caller has ended, so the listener hung up
    ring.close()


@contextmanager
def by_loop(loop: Loop, listener: OwnedFd) -> Iterator[None]:
    fds = listener.fileno(), loop.mounter.fileno()
    with subprocess.Popen([built(SOURCE), *map(str, fds)], pass_fds=fds):
        listener.close()
        yield


@contextmanager
def emulated(serving: Serving, count: int, pause_s: float) -> Iterator[Round]:
    if os.geteuid() != 0:
        raise UnavailableError("not root")

    def once() -> Sequence[float]:
        task: Task = loop.container.start(inside, count, pause_s, notified=("mount",))
        assert task.listener is not None
        with task, serving(loop, task.listener):
            task.go()
            taken: list[float] = task.result()
        return taken

    with ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)
        yield once


BENCHES = (
    Bench("procfs mount, hot", goals=(ratio(P50, 2.0),), ours=Variant("supervisor", lambda: emulated(by_supervisor, 200, 0)),
          reference=Variant("three mounts by root", lambda: native(200, 0))),
    Bench("procfs mount, 2 ms apart", goals=(ratio(P50, 2.0),), ours=Variant("supervisor", lambda: emulated(by_supervisor, 100, 0.002)),
          reference=Variant("three mounts by root", lambda: native(100, 0.002))),
    Bench("procfs mount, mounter alone", ours=Variant("C loop and mounter", lambda: emulated(by_loop, 100, 0.002)),
          reference=Variant("three mounts by root", lambda: native(100, 0.002))),
)
