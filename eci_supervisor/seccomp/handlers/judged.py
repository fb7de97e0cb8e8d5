"""Binds and moves under an admin's rule for sources or targets: what the copied paths lead to is judged, and then bound or moved itself.

None of them is continued for what memory says: the kernel would read it again. Source: fs/namespace.c.
"""
from errno import EBADF, EINVAL

from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import AT_RECURSIVE, Bind, Continue, Deny, Judged, KernelCheck, Move, Named, OpenTree, Verdict
from eci_supervisor.seccomp.handlers.mount import SOURCE, MountCall, decoded
from eci_supervisor.seccomp.handlers.mount_api import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    LOOKUP_FLAGS,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    signed,
)
from eci_supervisor.seccomp.handlers.texts import NOTHING, path_errno
from eci_supervisor.seccomp.held import held

REC = 0x4000
F_SYMLINKS, F_EMPTY_PATH, T_SYMLINKS, T_EMPTY_PATH = 0x1, 0x4, 0x10, 0x40
SET_GROUP, BENEATH, MOVE_FLAGS = 0x100, 0x200, 0x377


def bind_judged(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """mount(2) with MS_BIND. The kernel looks for the target first."""
    del otherwise
    found = _two_paths(call)
    if isinstance(found, Deny):
        return found
    target, source, flags = found
    return Judged(Bind(held(2), held(1), bool(flags & REC)), (Named(target), Named(source)), sources=(2,), targets=(1,))


def move_judged(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """mount(2) with MS_MOVE. What is moved to a shared mount is copied to all of its peers."""
    del otherwise
    found = _two_paths(call)
    if isinstance(found, Deny):
        return found
    target, source, _ = found
    return Judged(Move(held(1), held(2)), (Named(source), Named(target)), sources=(1,), targets=(2,))


def _two_paths(call: Call) -> tuple[bytes, bytes, int] | Deny:
    match decoded(call):
        case MountCall(target=target, flags=flags):
            source = call.texts.get(SOURCE, NOTHING).value
            return (target, source, flags) if source else Deny(EINVAL)
        case deny:
            return deny


def named(call: Call, at: int, *, empty: bool, follow: bool) -> Named | Deny:
    """The directory in argument `at` and the path behind it."""
    directory, text = signed(call.args[at]), call.texts.get(at + 1, NOTHING)
    if text.null or text.errno or not (text.value or empty):
        return Deny(path_errno(text))
    if directory == AT_FDCWD or text.value.startswith(b"/"):
        return Named(text.value or b".", follow=follow)
    return Named(text.value, directory, follow) if directory >= 0 else Deny(EBADF)


def move_mount(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """move_mount(2)."""
    flags = call.args[4] & 0xFFFFFFFF
    if flags & ~MOVE_FLAGS:
        return Continue(otherwise)  # EINVAL, by register
    source = named(call, 0, empty=bool(flags & F_EMPTY_PATH), follow=bool(flags & F_SYMLINKS))
    target = named(call, 2, empty=bool(flags & T_EMPTY_PATH), follow=bool(flags & T_SYMLINKS))
    if isinstance(source, Deny):
        return source
    if isinstance(target, Deny):
        return target
    return Judged(Move(held(1), held(2), flags & (SET_GROUP | BENEATH)), (source, target), sources=(1,), targets=(2,))


def open_tree_judged(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """open_tree(2) with OPEN_TREE_CLONE."""
    flags = call.args[2] & 0xFFFFFFFF
    if flags & ~(LOOKUP_FLAGS | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE):
        return Continue(otherwise)  # EINVAL, by register
    source = named(call, 0, empty=bool(flags & AT_EMPTY_PATH), follow=not flags & AT_SYMLINK_NOFOLLOW)
    if isinstance(source, Deny):
        return source
    return Judged(OpenTree(-1, held(1), flags), (source,), sources=(1,))
