"""The sources of bind mounts: opened once, cloned from that descriptor, flagged and idmapped while still detached.

All of them are cloned before anything is staged, so that a bind of /run does not carry the staging area into the container.
"""
import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from eci_supervisor.idmap.maps import IdMaps
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import clone_tree, mount_setattr
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_NODEV, MS_PRIVATE
from eci_supervisor.linux.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, openat2
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.settings import BindRules
from eci_supervisor.mounts.mountinfo import MountEntry
from eci_supervisor.oci.binds import BindFlags, Source, bind_flags, mapping, maps, plain_warning
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.spec import Mount

# Of these a mount shows the kernel's own files, and one that is visible as a whole lets the kernel allow fresh ones.
REFUSED_TYPES = (b"proc", b"sysfs")


@dataclass(frozen=True, slots=True)
class Clone:
    """A detached copy of a bind's source, ready to be attached; `directory` or file; `device`: a device node by itself."""

    tree: OwnedFd
    directory: bool
    flags: BindFlags
    device: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What all binds of a container have in common.

    judge: raises PolicyRefused for an opened source, its path as written, and whether it is to be read-only; note: is told of each;
    user_namespace: gives an fd for maps, the same one for the same maps.
    """

    ids: IdRange
    binds: BindRules
    judge: Callable[[OwnedFd, str, bool], None]
    note: Callable[[OwnedFd, Mount], None]
    table: tuple[MountEntry, ...]
    user_namespace: Callable[[IdMaps], int]


def clone_source(mount: Mount, rules: SourceRules) -> Clone:
    """Opens the source of a bind and makes its clone. Raises StageRefused."""
    flags = bind_flags(mount.options)
    with _opened(mount.source) as fd:
        rules.judge(fd, mount.source, flags.read_only)
        rules.note(fd, mount)
        status = os.stat(fd.fileno())
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            return _device(fd, mount.source, flags)
        path = os.readlink(f"/proc/self/fd/{fd.fileno()}")
        lines = _carried(path, fd.fileno(), flags.recursive, rules.table)
        for line in lines:
            if line.fstype in REFUSED_TYPES:
                raise StageRefused(f"volume {mount.source} carries a {os.fsdecode(line.fstype)} (at {os.fsdecode(line.path)}): with it the "
                                   "container could see the host's. Bind a directory without one.")
        tree = clone_tree(fd.fileno(), recursive=flags.recursive, what=mount.source)
    mount_setattr(tree.fileno(), attr_set=flags.attr_set, attr_clear=flags.attr_clear, propagation=flags.propagation,
                  recursive=flags.recursive, what=mount.source)
    warnings = list(_idmapped(tree, mount.source, path, lines, rules))
    if lines[0].fstype.startswith(b"fuse"):
        warnings.append(by_name_alone(mount.source, os.fsdecode(lines[0].fstype)))
    if flags.shared:
        warnings.append(f"volume {mount.source} is bound rslave, not rshared: what the container mounts below it stays in the container.")
    return Clone(tree, stat.S_ISDIR(status.st_mode), flags, warnings=tuple(warnings))


def _device(fd: OwnedFd, source: str, flags: BindFlags) -> Clone:
    """A node that was asked for by itself opens, with the owner it has on the host: devtmpfs cannot be idmapped.

    It is cloned like any source: by its path the runtime could be led elsewhere, by a link in a volume that a container writes.
    """
    tree = clone_tree(fd.fileno(), what=source)
    attributes = flags.attr_set & ~MOUNT_ATTR_NODEV
    mount_setattr(tree.fileno(), attr_set=attributes, attr_clear=flags.attr_clear, propagation=MS_PRIVATE, what=source)
    return Clone(tree, directory=False, flags=flags, device=True)


def _opened(source: str) -> OwnedFd:
    try:
        return openat2(AT_FDCWD, source, os.O_PATH, RESOLVE_NO_MAGICLINKS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise StageRefused(f"volume {source} does not exist on the host. Create it first.") from error
        if error.errno == errno.ELOOP:
            raise StageRefused(f"volume {source} leads through a link of procfs, or through too many links. Give the real path.") from error
        raise


def _carried(path: str, fd: int, recursive: bool, table: tuple[MountEntry, ...]) -> list[MountEntry]:
    """The mounts that a clone of `path` consists of: the one it is on, and with `recursive` those below."""
    here = mount_of(fd, table)
    below = [line for line in table if line.id != here.id and line.below(os.fsencode(path))] if recursive else []
    return [here, *below]


def mount_of(fd: int, table: tuple[MountEntry, ...]) -> MountEntry:
    """The line of the mount that an fd is on, by the mount's id: a path can lead to any of several that are stacked."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        found = next(int(line.split()[1]) for line in file if line.startswith(b"mnt_id:"))
    line = next((line for line in table if line.id == found), None)
    if line is None:
        raise OSError(errno.ENOENT, f"mount {found} is not in mountinfo")
    return line


def _idmapped(tree: OwnedFd, source: str, path: str, lines: list[MountEntry], rules: SourceRules) -> Iterator[str]:
    """Idmaps a detached tree as its source's owner says; the warnings about what cannot be.

    Of a detached tree the kernel changes the root alone, or all mounts in one call. So mounts below get the same map, or none.
    """
    root, below = _described(tree, source, path, lines)
    chosen = mapping(root, rules.binds)
    wanted = maps(chosen, root, rules.ids)
    if wanted is None:
        yield plain_warning(root)
        return
    alike = all(maps(mapping(one, rules.binds), one, rules.ids) == wanted for one in below)
    if alike and _set_map(tree, rules.user_namespace(wanted), recursive=bool(below), what=source):
        return
    if below and _set_map(tree, rules.user_namespace(wanted), recursive=False, what=source):
        yield from (below_warning(one.path, source) for one in below)
    elif not lines[0].idmapped:  # by the engine: its choice of ids stands
        yield cannot_be_idmapped(source, os.fsdecode(lines[0].fstype))


def _described(tree: OwnedFd, source: str, path: str, lines: list[MountEntry]) -> tuple[Source, list[Source]]:
    """The root of a tree and the mounts below it, as far as they are not hidden under others."""
    reached = private(path)
    status = os.stat(tree.fileno())
    below = []
    for line in lines[1:]:
        with contextlib.suppress(OSError):
            inner = os.stat(line.path[len(os.fsencode(path).rstrip(b"/")) + 1 :], dir_fd=tree.fileno(), follow_symlinks=False)
            below.append(Source(os.fsdecode(line.path), inner.st_uid, inner.st_gid, reached))
    return Source(source, status.st_uid, status.st_gid, reached), below


def _set_map(tree: OwnedFd, userns: int, *, recursive: bool, what: str) -> bool:
    """False where the kernel cannot: the file system does not allow it (EINVAL), it has a map already (EPERM), it is being written."""
    try:
        mount_setattr(tree.fileno(), userns=userns, recursive=recursive, what=what)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBUSY, errno.EPERM):
            raise
        return False
    return True


def below_warning(path: str, source: str) -> str:
    return f"{path}, mounted below volume {source}, cannot share its ids: its files will show as nobody. Bind it as a volume of its own."


def cannot_be_idmapped(path: str, fstype: str) -> str:
    return (f"volume {path} ({fstype}) cannot be idmapped by this kernel ({os.uname().release}): files of host ids will show as nobody. "
            "Use a local file system.")


def by_name_alone(path: str, fstype: str) -> str:
    return (f"volume {path} ({fstype}) is what a program says it is: it was judged by its path, and what it shows may be anything that its "
            "program can read.")


def private(path: str) -> bool:
    """Whether a directory above `path` lets nobody pass but host root: not a group, not others, not an entry of an ACL."""
    return any(_closed(directory) for directory in _above(path))


def _above(path: str) -> Iterable[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _closed(directory: str) -> bool:
    try:
        status = os.lstat(directory)
        if status.st_uid != 0 or status.st_mode & stat.S_IXOTH:
            return False
        if not status.st_mode & stat.S_IXGRP:  # with an ACL these bits are its mask
            return True
        return status.st_gid == 0 and "system.posix_acl_access" not in os.listxattr(directory)
    except OSError:
        return False
