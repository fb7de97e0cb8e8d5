"""RULES: for each system call what the filter does, what the C path answers, what needs a handler, and why.

Read by policy/profile.py (the OCI section), policy/rows.py (the C rows) and seccomp/handlers. For one call the first rule that fits
wins; a notified call without one is answered EIO. What is in no rule stays as the engine's profile has it.

Flags of mount(2) are tested in the order of the kernel's path_mount(): REMOUNT and BIND, REMOUNT, BIND, propagation, MOVE, new; before
that MS_MGC_VAL is stripped, and any of bits 31 to 63 is EINVAL.
"""
from dataclasses import dataclass
from enum import Enum
from errno import ENOSYS, EPERM
from typing import TypeAlias

from eci_supervisor.model.verdict import Continue, KernelCheck
from eci_supervisor.policy.arch import Abi

LOCK, REVEAL, TYPE = frozenset({KernelCheck.LOCK}), frozenset({KernelCheck.REVEAL}), frozenset({KernelCheck.TYPE})
OWNER, NSCAP = frozenset({KernelCheck.OWNER}), frozenset({KernelCheck.NSCAP})


class Kind(Enum):
    """How a register is read before it is tested; the numbers are enum eci_register's."""

    WORD = 0
    INT = 1  # the kernel's argument is an int: the low 32 bits
    MOUNT_FLAGS = 2  # MS_MGC_VAL stripped


@dataclass(frozen=True, slots=True)
class Masked:
    """(register & mask) == value."""

    arg: int
    mask: int
    value: int
    kind: Kind = Kind.WORD


@dataclass(frozen=True, slots=True)
class TextIs:
    """The string argument is one of at most two names of at most 15 bytes. One that cannot be read is none of them."""

    arg: int
    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """The filter answers wherever the engine's profile would allow the call: nobody is asked, no event is made."""

    errno: int


@dataclass(frozen=True, slots=True)
class Errno:
    """The C path answers."""

    errno: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A handler decides, on copies. `otherwise`: the checks that hold if the call's target is no tree of ours."""

    handler: str
    otherwise: frozenset[KernelCheck] = frozenset()


@dataclass(frozen=True, slots=True)
class Sysinfo:
    """The C path writes what the container's nodes show, from the sample they are rendered from."""


Action: TypeAlias = Continue | Errno | Ask | Sysinfo | Floor


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. reads: string arguments copied for Ask; pages: those of them that are a page of data."""

    name: str
    call: str
    action: Action
    why: str
    when: Masked | None = None
    text: TextIs | None = None
    reads: tuple[int, ...] = ()
    pages: tuple[int, ...] = ()
    abis: tuple[Abi, ...] = (Abi.X86_64, Abi.I386, Abi.AARCH64, Abi.ARM)


# mount(2), arg 3. Source: include/uapi/linux/mount.h.
REMOUNT, BIND, MOVE = 0x20, 0x1000, 0x2000
PROPAGATION = 0xF << 17  # UNBINDABLE, PRIVATE, SLAVE, SHARED
INVALID = 0xFFFFFFFF80000000  # MS_NOUSER, an int: its sign goes to bit 63
NEW = INVALID | REMOUNT | BIND | PROPAGATION | MOVE
TREES = TextIs(arg=2, names=(b"proc", b"sysfs"))
# Source, target, type, data: all, since the kernel copies them before it looks at the flags.
STRINGS, DATA = (0, 1, 2, 4), (4,)
# umount2(2), arg 1.
DETACH, ANY_BUT_DETACH = 0x2, 0x1 | 0x4 | 0x8


def _flags(mask: int, value: int) -> Masked:
    return Masked(arg=3, mask=mask, value=value, kind=Kind.MOUNT_FLAGS)


RULES: tuple[Rule, ...] = (
    Rule("mount.remount_bind", "mount", Ask("remount_bind", LOCK), when=_flags(INVALID | REMOUNT | BIND, REMOUNT | BIND),
         reads=STRINGS, pages=DATA, why="nodes below a tree that turns read-only must turn read-only too; locked flags stay"),
    Rule("mount.remount", "mount", Ask("remount_superblock", LOCK | OWNER), when=_flags(INVALID | REMOUNT, REMOUNT),
         reads=STRINGS, pages=DATA, why="options of a procfs tree are the container's, its nodes must follow; the host's are EPERM"),
    Rule("mount.bind", "mount", Continue(LOCK), when=_flags(INVALID | BIND, BIND),
         why="a recursive bind keeps its locks, a plain one above locked mounts is the kernel's EINVAL"),
    Rule("mount.new_tree", "mount", Ask("mount_tree"), when=_flags(NEW, 0), text=TREES, reads=STRINGS, pages=DATA,
         why="a new procfs or sysfs must be a locked tree with the virtual nodes"),
    Rule("mount.new", "mount", Continue(TYPE | REVEAL), when=_flags(NEW, 0),
         why="types that a user namespace may not mount are EPERM, and so is a name that turns into proc meanwhile"),
    Rule("mount.move", "mount", Continue(LOCK), when=_flags(INVALID | PROPAGATION | MOVE, MOVE), why="a locked mount does not move"),
    Rule("mount.propagation", "mount", Continue(LOCK), when=_flags(INVALID, 0), why="propagation never unlocks a mount"),
    Rule("mount.invalid", "mount", Continue(frozenset()), why="bits 31 to 63 are EINVAL, by register"),

    Rule("umount2.detach", "umount2", Continue(LOCK), when=Masked(1, DETACH, DETACH, Kind.INT),
         why="a lazy umount takes a tree as a whole, and a locked mount not at all"),
    Rule("umount2.tree", "umount2", Ask("umount_tree", LOCK), when=Masked(1, 0xFFFFFFFF & ~ANY_BUT_DETACH, 0, Kind.INT), reads=(0,),
         why="a tree goes with its nodes in one call; without us they keep it busy"),
    Rule("umount2.invalid", "umount2", Continue(frozenset()), why="unknown flags are EINVAL, by register"),
    Rule("umount.tree", "umount", Ask("old_umount", LOCK), reads=(0,), abis=(Abi.I386,), why="umount2 with no flags"),

    Rule("unshare", "unshare", Continue(NSCAP), why="what a namespace needs is a capability in the caller's user namespace"),
    Rule("setns", "setns", Continue(NSCAP), why="no namespace of the host is within reach, and joining one needs a capability in it"),

    Rule("sysinfo", "sysinfo", Sysinfo(), abis=tuple(Abi), why="memory, uptime and load are the container's, as in its /proc"),

    Rule("x32.mount", "mount", Errno(ENOSYS), abis=(Abi.X32,), why="no decoder for x32: as on a kernel without it"),
    Rule("x32.umount2", "umount2", Errno(ENOSYS), abis=(Abi.X32,), why="no decoder for x32: as on a kernel without it"),
    Rule("x32.unshare", "unshare", Errno(ENOSYS), abis=(Abi.X32,), why="no decoder for x32: as on a kernel without it"),
    Rule("x32.setns", "setns", Errno(ENOSYS), abis=(Abi.X32,), why="no decoder for x32: as on a kernel without it"),

    Rule("floor.syslog", "syslog", Floor(EPERM), why="the kernel's log is the host's"),
    Rule("floor.bpf", "bpf", Floor(EPERM), why="programs in the kernel"),
    Rule("floor.perf", "perf_event_open", Floor(EPERM), why="measures the host, and a long list of past holes"),
    Rule("floor.uffd", "userfaultfd", Floor(EPERM), why="holds kernel code at a page fault for as long as it likes"),
    Rule("floor.handles", "open_by_handle_at", Floor(EPERM),
         why="finds namespaces by guessing: the host's tree in a container that joins this one's user namespace and has not pivoted yet"),
    Rule("floor.uring_setup", "io_uring_setup", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.uring_enter", "io_uring_enter", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.uring_register", "io_uring_register", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.init_module", "init_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.finit_module", "finit_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.delete_module", "delete_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.kexec_load", "kexec_load", Floor(EPERM), why="another kernel"),
    Rule("floor.kexec_file_load", "kexec_file_load", Floor(EPERM), why="another kernel"),
)

NOTIFIED = frozenset(rule.call for rule in RULES if not isinstance(rule.action, Floor))
FLOOR = {rule.call: rule.action.errno for rule in RULES if isinstance(rule.action, Floor)}
