"""native/lane.c against the kernel: which mounts the serving thread does itself, and that each is done once."""
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.notification import Call
from eci_supervisor.mounts.mounter import Mounter
from eci_supervisor.seccomp.repeats import Kept
from eci_supervisor.seccomp.ring import Done, RawEvent
from tests.kernel import mounting
from tests.kernel.contained import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    FIRST_ID,
    MNT_DETACH,
    MS_BIND,
    Contained,
    mount,
    served,
    umount,
    unshare,
)
from tests.kernel.mounting import name
from tests.kernel.test_mounter import run
from tests.support import filtered
from tests.support.waiting import DEADLINE_S, SLOWNESS

pytestmark = pytest.mark.requires("root", "seccomp_notify")
MS_NOSUID, MS_RDONLY = 2, 1
MOUNT = 165
ATTEMPTS = 5
PILED, PERIOD_S = 3, 0.1 * SLOWNESS  # the first two are dead by then


def tables(target: str) -> int:
    """How many mounts lie on `target`."""
    return sum(line.split()[4] == target for line in Path("/proc/self/mountinfo").read_text().splitlines())


def run_served(function: Callable[[], object], expected: object, done: Done) -> list[RawEvent]:
    """Events of the calls that `function` makes in a container: all its mounts that succeed have been done in one way.

    On a busy machine no tree may lie ready, or a path may have left the kernel's cache: such a mount is the mounter's, and what is to be
    seen here is tried again.
    """
    for _ in range(ATTEMPTS - 1):
        seen, events = once(function)
        if (seen, ways(events)) == (expected, {done}):
            return events
    seen, events = once(function)
    assert (seen, ways(events)) == (expected, {done})
    return events


def ways(events: list[RawEvent]) -> set[int]:
    """How mounts came about that are ours to make."""
    return {event.done for event in events if event.nr == MOUNT and event.errno == 0 and event.done != Done.CONTINUED}


def once(function: Callable[[], object], calls: CallRules = NO_RULES) -> tuple[object, list[RawEvent]]:
    found: list[tuple[object, list[RawEvent]]] = []

    async def body(mounter: Mounter, container: Contained) -> None:
        found.append(await served(mounter, container, function, calls=calls))

    run(body, "lane")
    return found[0]


def usual() -> list[str]:
    seen = [name(mount(b"proc", b"/a", b"proc", 0)), mounting.read("/a/uptime"), name(umount(b"/a/uptime", MNT_DETACH)),
            name(mount(b"proc", b"/tmp/../b/", b"proc", MS_NOSUID))]
    return [*seen, str("nosuid" in next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " /b " in line))]


def test_the_usual_mount() -> None:
    """Python hears of it by its event alone; its nodes are there, and locked."""
    events = run_served(usual, ["ok", mounting.VIRTUAL, "EINVAL", "ok", "True"], Done.MOUNTED)
    mounts = [event for event in events if event.nr == MOUNT]
    assert [(event.done, event.errno, event.uid, event.texts[1]) for event in mounts] == [
        (Done.MOUNTED, 0, FIRST_ID, b"/a"), (Done.MOUNTED, 0, FIRST_ID, b"/tmp/../b/")]


def elsewhere() -> list[str]:
    unshare(CLONE_NEWNS)
    seen = [name(mount(b"proc", b"/a", b"proc", 0))]
    os.makedirs("/tmp/jail/a", exist_ok=True)
    os.chroot("/tmp/jail")
    return [*seen, name(mount(b"proc", b"/../a", b"proc", 0)), str(os.path.exists("/a/self"))]


def test_another_mount_namespace_and_root() -> None:
    run_served(elsewhere, ["ok", "ok", "True"], Done.MOUNTED)


def unusual() -> list[str]:
    os.chdir("/")
    seen = [mount(b"proc", b"a", b"proc", 0), mount(b"proc", b"/a", b"proc", 0, b"hidepid=2"), mount(b"proc", b"/b", b"proc", MS_RDONLY),
            mount(b"sysfs", b"/a", b"sysfs", 0), mount(b"proc", b"/none", b"proc", 0), mount(b"proc", b"/proc/self/cwd/a", b"proc", 0)]
    unshare(CLONE_NEWNET)
    seen.append(mount(b"proc", b"/b", b"proc", 0))
    os.setresuid(5, 5, 5)
    return [*map(name, seen), name(mount(b"proc", b"/a", b"proc", 0))]


def test_every_other_mount() -> None:
    """The mounter is asked: only it knows other namespaces, options, and what an error is."""
    run_served(unusual, ["ok", "ok", "ok", "ok", "ENOENT", "ok", "ok", "EPERM"], Done.EMULATED)


def again() -> list[object]:
    same = (b"proc", b"/a", b"proc", 0)
    seen: list[object] = [name(mount(*same)), name(mount(*same)), tables("/a"), name(umount(b"/a")), tables("/a")]
    for _ in range(2):  # the same call, but what it made is gone
        seen += [name(mount(*same)), tables("/a"), name(umount(b"/a"))]
    mount(*same)
    mount(b"cover", b"/a", b"tmpfs", 0)
    seen += [name(mount(*same)), tables("/a")]
    pid = os.fork()
    if pid == 0:
        os._exit(mount(*same) != 0)
    return [*seen, os.waitpid(pid, 0)[1], tables("/a")]


def test_the_same_call_again() -> None:
    """Nobody can tell whether a thread that makes one call twice got the first answer: SEND succeeds for one that a signal has woken. So
    the second is done already if what the first has made lies there still; another thread's is its own."""
    run_served(again, ["ok", "ok", 1, "ok", 0, "ok", 1, "ok", "ok", 1, "ok", "ok", 3, 0, 4], Done.MOUNTED)


def interrupted(source: bytes, fstype: bytes | None, flags: int) -> tuple[int, int, int]:
    """Mounts under SIGALRM every 100 µs, without a pause: how many left one mount, how many another number, until DEADLINE_S."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)
    right = wrong = failed = 0
    end = time.monotonic() + DEADLINE_S
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    while right < 100 and time.monotonic() < end:
        if filtered.LIBC.mount(source, b"/a", fstype, flags, None):
            failed += ctypes.get_errno() != 4
            continue
        count = 0
        while umount(b"/a", MNT_DETACH) == 0:
            count += 1
        right, wrong = right + (count == 1), wrong + (count != 1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return right, wrong, failed


@pytest.mark.parametrize(("source", "fstype", "flags"), [(b"proc", b"proc", 0), (b"/b", None, MS_BIND), (b"none", b"tmpfs", 0)])
def test_signals_that_never_stop(source: bytes, fstype: bytes | None, flags: int) -> None:
    """Each mount comes about in the time between two signals, or another two, and once."""
    assert once(partial(interrupted, source, fstype, flags), CallRules(mount_sources=("/srv",)))[0] == (100, 0, 0)


def again_interrupted(options: bytes | None, period_s: float) -> list[int]:
    """What each of a hundred rounds leaves: a mount in quiet, the same call again under signals, which have it come once more."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)
    left = []
    for _ in range(100):
        for period in (0.0, period_s):
            signal.setitimer(signal.ITIMER_REAL, period, period)
            filtered.LIBC.mount(b"proc", b"/a", b"proc", 0, options)
        signal.setitimer(signal.ITIMER_REAL, 0)
        count = 0
        while umount(b"/a", MNT_DETACH) == 0:
            count += 1
        left.append(count)
    return left


@pytest.mark.parametrize(("options", "period_s"), [(None, 1e-4), (b"hidepid=2", 2e-3)], ids=["lane", "mounter"])
def test_the_answer_to_a_repeated_call_is_taken_away(options: bytes | None, period_s: float) -> None:
    """What the thread made before is not forgotten: the call may come a third time."""
    assert once(partial(again_interrupted, options, period_s * SLOWNESS))[0] == [1] * 100


def again_by_the_mounter() -> int:
    """A mount by the serving thread; the same call under signals, when the caller lacks a capability that a usual one has."""
    same = b"proc", b"/a", b"proc", 0
    mount(*same)
    mounting.drop(mounting.CAP_SETGID)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, PERIOD_S, PERIOD_S)
    mount(*same)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return tables("/a")


def test_calls_that_wait_for_python_come_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of them, which is the live one, first: it is told what was made before as the first of them is."""
    piled: list[int] = []
    there = trio.Event()
    in_turn = Kept.in_turn

    @asynccontextmanager
    async def reversed_turn(self: Kept, notify_fd: int, call: Call) -> AsyncIterator[None]:
        if len(piled) < PILED and (call.made or piled):
            piled.append(call.id)
            if len(piled) == PILED:
                there.set()
            await there.wait()
            await trio.sleep((PILED - 1 - piled.index(call.id)) * PERIOD_S / 2)
        async with in_turn(self, notify_fd, call):
            yield

    monkeypatch.setattr(Kept, "in_turn", reversed_turn)
    left, events = once(again_by_the_mounter)
    for _ in range(ATTEMPTS - 1):
        if not piled:  # the first was the mounter's, too
            left, events = once(again_by_the_mounter)
    assert (left, len(piled), ways(events)) == (1, PILED, {Done.MOUNTED, Done.EMULATED})
