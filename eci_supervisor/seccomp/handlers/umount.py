"""umount2(2) without MNT_DETACH, and i386's umount(2). Source: fs/namespace.c, ksys_umount()."""
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Deny, Emulate, KernelCheck, UmountTree, Verdict
from eci_supervisor.seccomp.handlers.texts import NOTHING, path_errno

TARGET, FLAGS = 0, 1


def _umount(call: Call, flags: int, otherwise: frozenset[KernelCheck]) -> Verdict:
    target = call.texts.get(TARGET, NOTHING)
    if errno := path_errno(target):
        return Deny(errno)
    return Emulate(UmountTree(target.value, flags), otherwise)


def umount_tree(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """umount2; flags are an int. The rule let only known ones through."""
    return _umount(call, call.args[FLAGS] & 0xFFFFFFFF, otherwise)


def old_umount(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """umount: what the second register holds means nothing."""
    return _umount(call, 0, otherwise)
