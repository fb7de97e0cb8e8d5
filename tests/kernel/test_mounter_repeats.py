"""Mounts that are the mounter's, and signals: made once, undone without what somebody has put on top, and in the thread's order."""
import os
import signal
import time

import pytest

from eci_supervisor.seccomp.ring import Done
from tests.kernel.contained import MNT_DETACH, MS_BIND, mount, umount
from tests.kernel.mounting import name
from tests.kernel.test_lane import once, tables, ways

pytestmark = pytest.mark.requires("root", "seccomp_notify")
HIDE = b"hidepid=2"  # the lane takes no options
LEAST, ROUNDS, LONGEST_S = 10, 120, 10


def cleared(target: str) -> int:
    """How many mounts lay on it."""
    count = 0
    while umount(target.encode(), MNT_DETACH) == 0:
        count += 1
    return count


def again() -> list[object]:
    """One call twice is one call that came again, for all anybody can tell; any other call in between says that it is not."""
    same = (b"proc", b"/a", b"proc", 0, HIDE)
    seen: list[object] = [name(mount(*same)), name(mount(*same)), tables("/a"), name(umount(b"/a")), tables("/a")]
    seen += [name(mount(*same)), tables("/a")]
    mount(b"cover", b"/a", b"tmpfs", 0)
    seen += [name(mount(*same)), tables("/a")]
    cleared("/a")
    bound = (b"/proc", b"/a", None, MS_BIND)
    return [*seen, name(mount(*bound)), name(mount(*bound)), tables("/a"), cleared("/a")]


def test_the_same_call_again() -> None:
    seen, events = once(again)
    assert seen == ["ok", "ok", 1, "ok", 0, "ok", 1, "ok", 3, "ok", "ok", 1, 1]
    assert ways(events) == {Done.EMULATED}


def interrupted_and_covered() -> tuple[int, int, int]:
    """Mounts that a signal ends with EINTR, the same thread mounting a tmpfs there at once: how many were so, how often the tmpfs was lost,
    and how often a tree was left below it."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    done = lost = left = 0
    end = time.monotonic() + LONGEST_S
    while done < ROUNDS and time.monotonic() < end:
        signal.setitimer(signal.ITIMER_REAL, 5e-5 + done * 37 % 700 * 1e-6)
        result = mount(b"proc", b"/a", b"proc", 0, HIDE)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if name(result) == "EINTR":
            done += 1
            assert mount(b"cover", b"/a", b"tmpfs", 0) == 0
            lost += os.path.exists("/a/self")
            left += tables("/a") > 1
        cleared("/a")
    return done, lost, left


def test_what_covers_an_interrupted_mount_stays() -> None:
    """The thread's next call waits until its mount is undone. But for the rare caller that was woken while it was being answered, whose
    mount is there (native/lane.c), nothing is left below."""
    seen, _ = once(interrupted_and_covered)
    assert isinstance(seen, tuple)
    assert seen[0] >= LEAST
    assert seen[1] == 0
    assert seen[2] <= seen[0] // 20
