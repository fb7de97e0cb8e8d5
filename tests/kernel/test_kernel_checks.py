"""The kernel checks that a Continue may rest on: the caller's memory is changed after it was judged, and the kernel refuses.

The callers are root of a user namespace, in a mount namespace whose mounts were made outside it, as a container's are.
"""
import ctypes
import os
from collections.abc import Callable
from errno import EINVAL, EPERM
from pathlib import Path

import pytest
import trio

from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Continue, KernelCheck
from eci_supervisor.policy.arch import AUDIT_ARCH, machine_abis, number
from eci_supervisor.policy.rows import Row, RowAction
from eci_supervisor.policy.rule import Allow, Ask, Kind
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.support.filtered import Filtered, notifying, syscall
from tests.support.serving import result, serving

pytestmark = pytest.mark.requires("root", "seccomp_notify")

MOUNT, UMOUNT2, UNSHARE, SETNS, MKNODAT, SWAPON = 165, 166, 272, 308, 259, 167
AT_FDCWD, CHARACTER, NULL = -100, 0o020600, 1 << 8 | 3
RDONLY, REMOUNT, BIND, MOVE, REC, PRIVATE = 1, 0x20, 0x1000, 0x2000, 0x4000, 1 << 18
NEWNS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
ROOM = 64
MARK = b"swap "  # a string that begins so is changed, after it was copied, to what follows


def asked(call: str, *reads: int) -> Row:
    nr = number(machine_abis()[0], call)
    assert nr is not None
    return Row(arch=AUDIT_ARCH[machine_abis()[0]], nr=nr, arg=0, kind=Kind.WORD, mask=0, value=0, text=-1, names=(), action=RowAction.ASK,
               errno=0, rule=0, reads=sum(1 << arg for arg in reads), pages=0)


ROWS = (asked("mount", 0, 1, 2), asked("umount2", 0), asked("mknodat", 1), asked("swapon", 0))


async def swap_and_continue(thread: ServingThread, call: Call) -> None:
    """Plays the thread beside the caller that changes its memory in between."""
    for arg, text in call.texts.items():
        if text.value.startswith(MARK):
            memory = os.open(f"/proc/{call.tid}/mem", os.O_WRONLY)
            os.pwrite(memory, text.value.removeprefix(MARK) + b"\0", call.args[arg])
            os.close(memory)
    assert thread.continue_(call.id)


def swapped(harmful: bytes) -> int:
    """The address of a string that is judged as something else and then becomes `harmful`."""
    buffer = ctypes.create_string_buffer(MARK + harmful, ROOM)
    KEPT.append(buffer)
    return ctypes.addressof(buffer)


KEPT: list[object] = []


def ok(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def bound(path: bytes, flags: int = 0) -> None:
    ok(syscall(MOUNT, path, path, None, BIND, None))
    if flags:
        ok(syscall(MOUNT, None, path, None, REMOUNT | BIND | flags, None))


def inside(base: Path, calls: Callable[[], list[int]]) -> Callable[[], list[int]]:
    """A body: mounts at `base`, one of them read-only, one over a file of /proc; then `calls` below a new user and pid namespace."""
    def body() -> list[int]:
        ok(syscall(UNSHARE, NEWNS))
        ok(syscall(MOUNT, None, b"/", None, REC | PRIVATE, None))
        ok(syscall(MOUNT, b"none", bytes(base), b"tmpfs", 0, None))
        for name in ("r", "w", "t"):
            (base / name).mkdir()
        (base / "file").touch()
        bound(bytes(base / "r"), RDONLY)
        bound(bytes(base / "w"))
        ok(syscall(MOUNT, bytes(base / "file"), b"/proc/uptime", None, BIND, None))
        ok(syscall(UNSHARE, NEWUSER | NEWNS | NEWPID))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("0 0 1")
        Path("/proc/self/gid_map").write_text("0 0 1")
        return in_child(calls)

    return body


def in_child(calls: Callable[[], list[int]]) -> list[int]:
    """The results of `calls` in a child, which is the first process of its pid namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(calls()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as pipe:
        return [int(word) for word in pipe.read().strip("[]").split(",")]


def got(base: Path, calls: Callable[[], list[int]]) -> list[int]:
    async def main() -> list[int]:
        async with serving(child, ring, swap_and_continue, ROWS):
            results: list[int] = await result(child)
            return results

    ring = EventRing()
    with Filtered(notifying(["mount", "umount2", "mknodat", "swapon"]), inside(base, calls)) as child:
        results = trio.run(main)
    ring.close()
    return results


def mount(source: bytes | int | None, target: bytes | int, fstype: bytes | int | None, flags: int = 0) -> int:
    return syscall(MOUNT, source, target, fstype, flags, None)


def lock(base: Path) -> Callable[[], list[int]]:
    r, w, t = (bytes(base / name) for name in "rwt")

    def calls() -> list[int]:
        return [
            mount(None, w, None, REMOUNT | BIND),  # harmless, so allowed
            mount(None, swapped(r), None, REMOUNT | BIND),  # read-only stays
            mount(swapped(r), t, None, MOVE),
            mount(swapped(b"/proc"), t, None, BIND),  # what lies below /proc/uptime's cover stays hidden
            syscall(UMOUNT2, swapped(r), 0),
            syscall(UMOUNT2, swapped(b"/proc/uptime"), 2),
        ]

    return calls


def reveal(base: Path) -> Callable[[], list[int]]:
    t = bytes(base / "t")
    return lambda: [mount(b"x", t, b"tmpfs"), mount(b"x", t, swapped(b"proc")), mount(b"x", t, swapped(b"sysfs"))]


def fs_type(base: Path) -> Callable[[], list[int]]:
    t = bytes(base / "t")
    host_only = (b"devtmpfs", b"debugfs", b"tracefs", b"securityfs")
    return lambda: [mount(b"x", t, b"tmpfs"), *(mount(b"x", t, swapped(name)) for name in host_only)]


def owner(base: Path) -> Callable[[], list[int]]:
    own = bytes(base / "t")

    def calls() -> list[int]:
        return [mount(b"x", own, b"tmpfs"), mount(None, own, None, REMOUNT), mount(None, swapped(bytes(base)), None, REMOUNT)]

    return calls


def nscap(base: Path) -> Callable[[], list[int]]:
    t = bytes(base / "t")

    def calls() -> list[int]:
        host = os.open("/proc/self/ns/net", os.O_RDONLY)  # still the host's, and we are nobody there
        joining = syscall(SETNS, host, NEWNET)
        first = mount(b"x", t, b"tmpfs")
        ok(syscall(UNSHARE, NEWUSER))  # all capabilities, but not over this mount namespace
        return [joining, first, mount(b"x", swapped(t), b"tmpfs"), syscall(UMOUNT2, swapped(t), 2)]

    return calls


def hostcap(base: Path) -> Callable[[], list[int]]:
    own, other = bytes(base / "w/null"), bytes(base / "t/null")

    def calls() -> list[int]:
        return [
            syscall(MKNODAT, AT_FDCWD, own, CHARACTER, 0),  # overlay's whiteout: a file
            syscall(MKNODAT, AT_FDCWD, swapped(other), CHARACTER, NULL),
            syscall(SWAPON, swapped(bytes(base / "file")), 0),
        ]

    return calls


PROOFS = {
    KernelCheck.LOCK: (lock, [0, -EPERM, -EINVAL, -EINVAL, -EINVAL, -EINVAL]),
    KernelCheck.REVEAL: (reveal, [0, -EPERM, -EPERM]),
    KernelCheck.TYPE: (fs_type, [0, -EPERM, -EPERM, -EPERM, -EPERM]),
    KernelCheck.OWNER: (owner, [0, 0, -EPERM]),
    KernelCheck.HOSTCAP: (hostcap, [0, -EPERM, -EPERM]),
    KernelCheck.NSCAP: (nscap, [-EPERM, 0, -EPERM, -EPERM]),
}


@pytest.mark.parametrize("check", PROOFS)
def test_the_kernel_refuses_what_memory_turned_into(base: Path, check: KernelCheck) -> None:
    calls, expected = PROOFS[check]
    assert got(base, calls(base)) == expected


def test_each_check_that_a_rule_relies_on_has_a_proof() -> None:
    relied = {check for rule in RULES if isinstance(rule.action, Continue | Allow) for check in rule.action.checks}
    relied |= {check for rule in RULES if isinstance(rule.action, Ask) for check in rule.action.otherwise}
    assert relied <= PROOFS.keys()
