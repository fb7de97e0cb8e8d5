"""The new mount API, where a tree of ours may be concerned. What the kernel refuses anyway it is left to refuse: its errnos, its order.

Source: fs/namespace.c, fs/fsopen.c.
"""
import struct
from errno import EINVAL

from eci_supervisor.model.notification import Call
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import (
    Continue,
    Deny,
    Emulate,
    Fsmount,
    Fsopen,
    KernelCheck,
    OpenTree,
    Reconfigure,
    SetAttributes,
    Verdict,
)
from eci_supervisor.seccomp.handlers.texts import NOTHING

AT_FDCWD = -100
AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT = 0x1000, 0x100, 0x800
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, FSOPEN_CLOEXEC = 0x1, 0x80000, 0x1
LOOKUP_FLAGS = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
MOUNT_ATTR = struct.Struct("=QQQQ")  # set, clear, propagation, userns_fd: MOUNT_ATTR_SIZE_VER0
PAGE_BYTES = 4096
RDONLY, IDMAP = 0x1, 0x100000
PLAIN = RDONLY | 0x2 | 0x4 | 0x8 | 0x200000  # nosuid, nodev, noexec, nosymfollow


def signed(register: int) -> int:
    """An int argument: the low 32 bits."""
    return (register & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _start(call: Call, flags: int) -> tuple[int, bytes] | None:
    """Directory (-1: none needed) and path, or None where the kernel finds nothing to walk."""
    directory, text = signed(call.args[0]), call.texts.get(1, NOTHING)
    if text.null or text.errno or not (text.value or flags & AT_EMPTY_PATH):
        return None
    if text.value.startswith(b"/") or directory == AT_FDCWD:
        return -1, text.value or b"."
    return (directory, text.value or b".") if directory >= 0 else None


def fsopen(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Of procfs or sysfs, as the one copy of the name says."""
    flags = call.args[1] & 0xFFFFFFFF
    if flags & ~FSOPEN_CLOEXEC:
        return Continue(otherwise)
    return Emulate(Fsopen(TreeKind(call.texts[0].value), flags), otherwise)


def fsmount(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Of a context; whichever it is, the kernel mounts no procfs or sysfs without us."""
    return Emulate(Fsmount(signed(call.args[0]), call.args[1] & 0xFFFFFFFF, call.args[2] & 0xFFFFFFFF), otherwise)


def reconfigure(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """fsconfig's FSCONFIG_CMD_RECONFIGURE, which takes no key, no value and no number."""
    del otherwise
    context, _, key, value, number, _ = call.args
    if signed(context) < 0 or key or value or number & 0xFFFFFFFF:
        return Deny(EINVAL)
    return Emulate(Reconfigure(signed(context)))


def open_tree(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """A clone of one mount."""
    flags = call.args[2] & 0xFFFFFFFF
    start = _start(call, flags)
    if start is None or flags & ~(LOOKUP_FLAGS | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC):
        return Continue(otherwise)
    return Emulate(OpenTree(*start, flags), otherwise)


def _attributes(call: Call) -> tuple[int, int, int] | None:
    """set, clear and propagation of a struct mount_attr, or None where the kernel would refuse it."""
    size, attributes = call.args[4], call.texts.get(3, NOTHING)
    if attributes.null or attributes.errno or not MOUNT_ATTR.size <= size <= PAGE_BYTES or any(attributes.value[MOUNT_ATTR.size :]):
        return None
    to_set, to_clear, propagation, _ = MOUNT_ATTR.unpack(attributes.value[: MOUNT_ATTR.size])
    return to_set, to_clear, propagation


def open_tree_attr(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """A clone of one mount with flags of its own. With more to be set than those, a place above locked mounts is the kernel's EINVAL."""
    match open_tree(call, otherwise), _attributes(call):
        case Emulate(OpenTree(directory, path, flags)), (to_set, 0, 0) if not to_set & ~PLAIN:
            return Emulate(OpenTree(directory, path, flags, to_set), otherwise)
        case _:
            return Continue(otherwise)


def mount_setattr(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Of one mount. Nodes have to follow only where read-only is changed; no procfs or sysfs can be idmapped."""
    flags = call.args[2] & 0xFFFFFFFF
    start, attributes = _start(call, flags), _attributes(call)
    if start is None or flags & ~LOOKUP_FLAGS or attributes is None:
        return Continue(otherwise)
    to_set, to_clear, propagation = attributes
    if not (to_set | to_clear) & RDONLY or (to_set | to_clear) & IDMAP:
        return Continue(otherwise)
    return Emulate(SetAttributes(*start, flags, to_set, to_clear, propagation), otherwise)
