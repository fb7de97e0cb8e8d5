"""Which file an fd is on, and which directories are above it on its mount. Nothing is opened but for its place: O_PATH.

Some facts. `..` ends at the root of who asks, which is ours, and so above every container's; above the root of a mount it leads to
another mount, known by its number. A file has no `..`: its name is asked for, and counts if it leads to the same file. A FUSE mount of a
container's tells us nothing but that it is one: the host could not be shown by it, or the container had bound it itself.
"""
import os
from collections.abc import Iterator
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from eci_supervisor.linux.statfs import FUSE_MAGIC, file_system_magic

Identity = tuple[int, int]  # st_dev, st_ino
UP: Final = "/".join([".."] * 1300)  # more levels than a path has
DIRECTORY: Final = 0o040000
TYPE_MASK: Final = 0o170000


class UnknownAncestryError(OSError):
    """What is above cannot be told: the file has no name, or had another one a moment ago."""


def chain(fd: OwnedFd, root: OwnedFd) -> tuple[Identity, ...]:
    """The identity of what an fd is on, and those of the directories above it, to the root of its mount.

    root: of a process of that mount namespace. Raises UnknownAncestryError, OSError.
    """
    return tuple(_upwards(fd, root))


def _upwards(fd: OwnedFd, root: OwnedFd) -> Iterator[Identity]:
    mount, at = mount_number(fd), OwnedFd(os.dup(fd.fileno()))
    while True:
        try:
            status = os.stat(at.fileno())
        except PermissionError:
            if file_system_magic(at.fileno()) == FUSE_MAGIC:
                return
            raise
        here = status.st_dev, status.st_ino
        yield here
        is_directory = status.st_mode & TYPE_MASK == DIRECTORY
        above = OwnedFd(os.open("..", os.O_PATH, dir_fd=at.fileno())) if is_directory else _directory(at, root, here)
        at.close()
        at = above
        found = os.stat(at.fileno()) if mount_number(at) == mount else None
        if found is None or (found.st_dev, found.st_ino) == here:
            at.close()
            return


def mount_number(fd: OwnedFd) -> int:
    """The number of the mount that an fd is on, as mountinfo has it."""
    with open(f"/proc/self/fdinfo/{fd.fileno()}", "rb") as file:
        return next(int(line.removeprefix(b"mnt_id:")) for line in file if line.startswith(b"mnt_id:"))


def top(root: OwnedFd) -> OwnedFd:
    """The root of the mount namespace that a process with this root is in."""
    return OwnedFd(os.open(UP, os.O_PATH, dir_fd=root.fileno()))


def _directory(fd: OwnedFd, root: OwnedFd, identity: Identity) -> OwnedFd:
    """The directory that a file is in."""
    above, _, name = os.readlink(f"/proc/self/fd/{fd.fileno()}".encode()).rpartition(b"/")
    try:
        with top(root) as namespace:
            inside = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
            directory = openat2(namespace.fileno(), above.strip(b"/") or b".", os.O_PATH | os.O_DIRECTORY, inside)
        found = os.stat(name, dir_fd=directory.fileno(), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnknownAncestryError(f"{name!r} is not where it was") from error
    if (found.st_dev, found.st_ino) != identity:
        raise UnknownAncestryError(f"{name!r} is another file now")
    return directory
