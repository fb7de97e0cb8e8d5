"""The mount API, old and new: one function a call, fds owned, errors named.

Some facts about mount_setattr. A tree can be idmapped only while it is detached, and only once; AT_RECURSIVE is all or nothing. The
propagation of a clone is that of its source: a clone of a mount that is a slave keeps receiving what is mounted there.
"""
import os
import struct

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_flags import (
    MNT_DETACH,
    MOUNT_ATTR_IDMAP,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
)
from eci_supervisor.linux.syscall import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    FSCONFIG,
    FSMOUNT,
    FSOPEN,
    FSPICK,
    MOUNT_SETATTR,
    MOVE_MOUNT,
    OPEN_TREE,
    encoded,
    shown,
    syscall,
)
from eci_supervisor.native import check_libc, ffi, lib

# What mount() and umount() are called with is imported from here too.
__all__ = [
    "MNT_DETACH", "MS_BIND", "MS_NODEV", "MS_NOEXEC", "MS_NOSUID", "MS_PRIVATE", "MS_RDONLY", "MS_REC", "MS_REMOUNT", "MS_SLAVE",
    "clone_tree", "fsconfig_create", "fsconfig_flag", "fsconfig_reconfigure", "fsconfig_string", "fsmount", "fsopen", "fspick",
    "mount", "mount_setattr", "move_mount", "umount",
]

_OPEN_TREE_CLONE = 0x1
_CLOEXEC = os.O_CLOEXEC  # OPEN_TREE_CLOEXEC is O_CLOEXEC; the fs* calls have 1 for it
_FS_CLOEXEC = 0x1
_F_EMPTY_PATH, _T_EMPTY_PATH = 0x04, 0x40
_SET_FLAG, _SET_STRING, _CREATE, _RECONFIGURE = 0, 1, 6, 7
_FSPICK_EMPTY_PATH = 0x8


def clone_tree(source: str | bytes | int, *, recursive: bool = False, what: str = "") -> OwnedFd:
    """A detached copy of the mount at a path, or at an O_PATH fd; with `recursive`, of those below it too."""
    flags = _OPEN_TREE_CLONE | _CLOEXEC | (AT_RECURSIVE if recursive else 0)
    if isinstance(source, int):
        return OwnedFd(syscall(OPEN_TREE, source, b"", flags | AT_EMPTY_PATH, what=f"open_tree {what or source}"))
    return OwnedFd(syscall(OPEN_TREE, AT_FDCWD, encoded(source), flags, what=f"open_tree {shown(source)}"))


def move_mount(tree: int, target: str | bytes | int, *, what: str = "") -> None:
    """Attaches a detached tree at a path, or at an O_PATH fd of the place."""
    if isinstance(target, int):
        syscall(MOVE_MOUNT, tree, b"", target, b"", _F_EMPTY_PATH | _T_EMPTY_PATH, what=f"move_mount to {what or target}")
    else:
        syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, encoded(target), _F_EMPTY_PATH, what=f"move_mount to {shown(target)}")


def mount_setattr(
    fd: int, path: str | bytes = b"", *, attr_set: int = 0, attr_clear: int = 0, propagation: int = 0, userns: int | None = None,
    recursive: bool = False, what: str = "",
) -> None:
    """Changes the mount of `fd`, or the one at `path` below it; `userns` idmaps a detached one (MOUNT_ATTR_IDMAP is added)."""
    if userns is not None:
        attr_set |= MOUNT_ATTR_IDMAP
    attributes = struct.pack("=QQQQ", attr_set, attr_clear, propagation, 0 if userns is None else userns)
    flags = (AT_RECURSIVE if recursive else 0) | (AT_SYMLINK_NOFOLLOW if path else AT_EMPTY_PATH)
    syscall(MOUNT_SETATTR, fd, encoded(path), flags, attributes, len(attributes), what=f"mount_setattr {what or shown(path)}")


def fsopen(fstype: str) -> OwnedFd:
    return OwnedFd(syscall(FSOPEN, fstype.encode(), _FS_CLOEXEC, what=f"fsopen {fstype}"))


def fspick(target: str | int) -> OwnedFd:
    """A context to reconfigure the superblock of the mount whose root is a path, or an O_PATH fd."""
    if isinstance(target, int):
        return OwnedFd(syscall(FSPICK, target, b"", _FS_CLOEXEC | _FSPICK_EMPTY_PATH, what=f"fspick {target}"))
    return OwnedFd(syscall(FSPICK, AT_FDCWD, encoded(target), _FS_CLOEXEC, what=f"fspick {shown(target)}"))


def fsconfig_string(context: int, key: str, value: str) -> None:
    """Sets one option; values of 256 bytes and more are EINVAL."""
    _fsconfig(context, _SET_STRING, key.encode(), encoded(value), what=f"{key}={shown(value)}")


def fsconfig_flag(context: int, key: str) -> None:
    _fsconfig(context, _SET_FLAG, key.encode(), None, what=key)


def fsconfig_create(context: int) -> None:
    """Makes the superblock."""
    _fsconfig(context, _CREATE, None, None, what="create")


def fsconfig_reconfigure(context: int) -> None:
    """Reconfigures the superblock; without options before it, that drops its unused dentries and no more."""
    _fsconfig(context, _RECONFIGURE, None, None, what="reconfigure")


def _fsconfig(context: int, command: int, key: bytes | None, value: bytes | None, *, what: str) -> None:
    """fsconfig(2); what the file system itself has to say about a failure is part of the error."""
    try:
        syscall(FSCONFIG, context, command, key, value, 0, what=f"fsconfig {what}")
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}{_messages(context)}") from error


def _messages(context: int) -> str:
    """What the kernel logged to a context, ": " in front, or nothing."""
    texts = []
    while True:
        try:
            texts.append(os.read(context, 4096).decode("utf-8", "replace").strip())
        except OSError:  # ENODATA: no more
            return "".join(f": {text}" for text in texts)


def fsmount(context: int, attributes: int = 0) -> OwnedFd:
    """A detached mount of the superblock that `context` made."""
    return OwnedFd(syscall(FSMOUNT, context, _FS_CLOEXEC, attributes, what="fsmount"))


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2); `data` is at most 4095 bytes."""
    from_, kind, options = (encoded(word) if word else ffi.NULL for word in (source, fstype, data))
    check_libc(lib.mount(from_, encoded(target), kind, flags, options), f"mount {fstype or source} on {shown(target)}")


def umount(target: str, flags: int = 0) -> None:
    check_libc(lib.umount2(encoded(target), flags), f"umount {shown(target)}")
