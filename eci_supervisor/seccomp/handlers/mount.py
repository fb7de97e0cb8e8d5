"""mount(2), the three forms of it that a tree of ours may be concerned by. The first error in the kernel's order is the answer.

Source: fs/namespace.c, SYSCALL_DEFINE5(mount), then path_mount().
"""
from dataclasses import dataclass

from eci_supervisor.model.notification import Call
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import Bind, Deny, Emulate, KernelCheck, MountTree, RemountBind, RemountSuperblock, Verdict
from eci_supervisor.seccomp.handlers.texts import NOTHING, page_errno, path_errno, string_errno

SOURCE, TARGET, TYPE, FLAGS, DATA = range(5)
MGC_MASK, MGC_VALUE, BELOW_MGC = 0xFFFF0000, 0xC0ED0000, 0xFFFF


@dataclass(frozen=True, slots=True)
class MountCall:
    """The call as the kernel would take it after the copies; fstype and options are b"" for NULL, flags without MS_MGC_VAL."""

    target: bytes
    fstype: bytes
    flags: int
    options: bytes


def kernel_flags(register: int) -> int:
    """The flags without MS_MGC_VAL, which takes everything above bit 15 with it (the kernel's mask is a 32-bit number)."""
    return register & BELOW_MGC if register & MGC_MASK == MGC_VALUE else register


def decoded(call: Call) -> MountCall | Deny:
    """The copies, or the errno for the first that the kernel would trip over."""
    source, target, fstype, data = (call.texts.get(index, NOTHING) for index in (SOURCE, TARGET, TYPE, DATA))
    errno = string_errno(fstype) or string_errno(source) or page_errno(data) or path_errno(target)
    if errno:
        return Deny(errno)
    return MountCall(target.value, fstype.value, kernel_flags(call.args[FLAGS]), data.value)


def mount_tree(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """A new procfs or sysfs: its type was judged on the one copy, which says "proc" or "sysfs"."""
    match decoded(call):
        case MountCall(target, fstype, flags, options):
            return Emulate(MountTree(TreeKind(fstype), target, flags, options), otherwise)
        case deny:
            return deny


def remount_bind(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Flags of one mount. Type, source and options are ignored by the kernel, but copied first."""
    match decoded(call):
        case MountCall(target=target, flags=flags):
            return Emulate(RemountBind(target, flags), otherwise)
        case deny:
            return deny


def remount_superblock(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Options of a superblock and flags of the mount."""
    match decoded(call):
        case MountCall(target=target, flags=flags, options=options):
            return Emulate(RemountSuperblock(target, flags, options), otherwise)
        case deny:
            return deny


def bind(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """One mount, without those below it."""
    match decoded(call):
        case MountCall(target=target):
            return Emulate(Bind(call.texts.get(SOURCE, NOTHING).value, target), otherwise)
        case deny:
            return deny
