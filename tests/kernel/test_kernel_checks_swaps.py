"""The same checks where not a string but a descriptor or a link is changed after it was judged: the kernel refuses what it finds then."""
import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable
from errno import EINVAL, EPERM
from pathlib import Path

import pytest
import trio

from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import KernelCheck
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.kernel.test_kernel_checks import (
    AT_FDCWD,
    BIND,
    CHARACTER,
    MKNODAT,
    MOUNT,
    NEWNET,
    NULL,
    REMOUNT,
    SETNS,
    SWAPON,
    UMOUNT2,
    UNSHARE,
    asked,
    bound,
    inside,
    ok,
)
from tests.support.filtered import Filtered, notifying, syscall
from tests.support.serving import result, serving

pytestmark = pytest.mark.requires("root", "seccomp_notify")

OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, MOUNT_SETATTR = 428, 429, 430, 431, 432, 433, 442
CREATE, RECONFIGURE, EMPTY_PATH, CLONE, FROM_EMPTY_PATH = 6, 7, 0x1000, 1, 4
SLOT = 90
WATCHED = ("mount", "umount2", "mknodat", "swapon", "setns", "open_tree", "move_mount", "fsconfig", "fsmount", "mount_setattr")
ROWS = tuple(asked(name) for name in WATCHED)
DEADLINE_S = 10.0
Calls = Callable[[Path], list[int]]
Swap = Callable[[Callable[[], None], Callable[[], int]], int]

IDLE, ARMED, SWAP, SWAPPED = range(4)
state = mmap.mmap(-1, 4096)  # one byte that the judge and the caller's process share


def until(wanted: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while state[0] != wanted:
        assert time.monotonic() < deadline, (state[0], wanted)
        time.sleep(0)


async def swap_and_continue(thread: ServingThread, call: Call) -> None:
    """An armed call has been judged; before the kernel goes on with it, the thread beside the caller has had its way."""
    if state[0] == ARMED:
        state[0] = SWAP
        until(SWAPPED)
    assert thread.continue_(call.id)


def after_the_verdict(change: Callable[[], object], call: Callable[[], int]) -> int:
    """What `call` returns when another thread of its process makes `change` once it was judged."""
    def beside() -> None:
        until(SWAP)
        change()
        state[0] = SWAPPED

    thread = threading.Thread(target=beside)
    thread.start()
    state[0] = ARMED
    returned = call()
    thread.join()
    state[0] = IDLE
    return returned


def exchanged(harmless: int, harmful: int, call: Callable[[], int]) -> int:
    """SLOT is one descriptor when the call is judged, and another when it is made."""
    ok(harmless)
    ok(harmful)
    os.dup2(harmless, SLOT)
    return after_the_verdict(lambda: os.dup2(harmful, SLOT), call)


def relinked(base: Path, harmless: Path, harmful: Path, call: Callable[[bytes], int]) -> int:
    """The same of a symbolic link."""
    link, other = base / "t/link", base / "t/other"
    link.unlink(missing_ok=True)
    link.symlink_to(harmless)
    other.symlink_to(harmful)
    return after_the_verdict(lambda: other.rename(link), lambda: call(bytes(link)))


def path(where: Path | str) -> int:
    return os.open(where, os.O_PATH)


def context(kind: bytes) -> int:
    """Of a new file system; with its superblock, where one may be made."""
    fd = syscall(FSOPEN, kind, 1)
    syscall(FSCONFIG, fd, CREATE, None, None, 0)
    return fd


def clear_read_only(dirfd: int, name: bytes, flags: int) -> int:
    attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
    return syscall(MOUNT_SETATTR, dirfd, name, flags, ctypes.addressof(attributes), 32)


def lock(base: Path) -> list[int]:
    read_only, writable, own = base / "r", base / "w", base / "t/own"
    own.mkdir()
    bound(bytes(own))
    return [
        clear_read_only(path(writable), b"", EMPTY_PATH),  # harmless, so allowed
        exchanged(path(writable), path(read_only), lambda: clear_read_only(SLOT, b"", EMPTY_PATH)),
        exchanged(path(own), path(read_only), lambda: syscall(MOVE_MOUNT, SLOT, b"", AT_FDCWD, bytes(base / "t"), FROM_EMPTY_PATH)),
        exchanged(path(own), path("/proc"), lambda: syscall(OPEN_TREE, SLOT, b"", CLONE | EMPTY_PATH)),
        relinked(base, writable, read_only, lambda link: clear_read_only(AT_FDCWD, link, 0)),
        relinked(base, writable, read_only, lambda link: syscall(MOUNT, None, link, None, REMOUNT | BIND, None)),
        relinked(base, own, read_only, lambda link: syscall(UMOUNT2, link, 2)),
        relinked(base, own, Path("/proc"), lambda link: syscall(MOUNT, link, bytes(base / "t"), None, BIND, None)),
    ]


def reveal(base: Path) -> list[int]:
    """A superblock of a procfs may be made; to mount it is what the kernel refuses."""
    return [syscall(FSMOUNT, context(b"tmpfs"), 1, 0), exchanged(context(b"tmpfs"), context(b"proc"), lambda: syscall(FSMOUNT, SLOT, 1, 0))]


def fs_type(base: Path) -> list[int]:
    def unmade(kind: bytes) -> int:
        return syscall(FSOPEN, kind, 1)

    return [syscall(FSCONFIG, unmade(b"tmpfs"), CREATE, None, None, 0),
            *(exchanged(unmade(b"tmpfs"), unmade(kind), lambda: syscall(FSCONFIG, SLOT, CREATE, None, None, 0))
              for kind in (b"debugfs", b"tracefs"))]


def owner(base: Path) -> list[int]:
    own = base / "t/mine"
    own.mkdir()
    ok(syscall(MOUNT, b"x", bytes(own), b"tmpfs", 0, None))

    def picked(where: Path) -> int:
        return syscall(FSPICK, AT_FDCWD, bytes(where), 1)

    def reconfigure(fd: int) -> int:
        return syscall(FSCONFIG, fd, RECONFIGURE, None, None, 0)

    return [
        reconfigure(picked(own)),
        exchanged(picked(own), picked(base), lambda: reconfigure(SLOT)),
        relinked(base, own, base, lambda link: syscall(MOUNT, None, link, None, REMOUNT, None)),
    ]


def nscap(base: Path) -> list[int]:
    host = os.open("/proc/self/ns/net", os.O_RDONLY)
    ok(syscall(UNSHARE, NEWNET))
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    return [syscall(SETNS, own, NEWNET), exchanged(own, host, lambda: syscall(SETNS, SLOT, NEWNET))]


def hostcap(base: Path) -> list[int]:
    own = base / "t/mine"
    own.mkdir()
    ok(syscall(MOUNT, b"x", bytes(own), b"tmpfs", 0, None))
    return [
        syscall(MKNODAT, path(own), b"whiteout", CHARACTER, 0),
        exchanged(path(own), path(base / "w"), lambda: syscall(MKNODAT, SLOT, b"null", CHARACTER, NULL)),
        relinked(base, own, base / "file", lambda link: syscall(SWAPON, link, 0)),
    ]


PROOFS: dict[KernelCheck, tuple[Calls, list[int]]] = {
    KernelCheck.LOCK: (lock, [0, -EPERM, -EINVAL, -EINVAL, -EPERM, -EPERM, -EINVAL, -EINVAL]),
    KernelCheck.REVEAL: (reveal, [0, -EPERM]),
    KernelCheck.TYPE: (fs_type, [0, -EPERM, -EPERM]),
    KernelCheck.OWNER: (owner, [0, -EPERM, -EPERM]),
    KernelCheck.NSCAP: (nscap, [0, -EPERM]),
    KernelCheck.HOSTCAP: (hostcap, [0, -EPERM, -EPERM]),
}


@pytest.mark.parametrize("check", KernelCheck)
def test_the_kernel_refuses_what_a_descriptor_or_a_link_turned_into(base: Path, check: KernelCheck) -> None:
    calls, expected = PROOFS[check]

    async def main() -> list[int]:
        async with serving(child, ring, swap_and_continue, ROWS):
            results: list[int] = await result(child)
            return results

    def numbers() -> list[int]:
        """Descriptors that were returned count as success."""
        return [min(number, 0) for number in calls(base)]

    ring = EventRing()
    with Filtered(notifying(list(WATCHED)), inside(base, numbers)) as child:
        results = trio.run(main)
    ring.close()
    assert results == expected
