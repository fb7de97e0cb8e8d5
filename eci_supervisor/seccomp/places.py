"""Where mounts are mounted, watched while the kernel copies a directory of the mount that they are on.

The kernel copies those that lie below the directory at that moment, and a rename of a directory above one decides whether it does. So
whatever is to stay out of a copy is looked at before and after: it was elsewhere both times, and no name on the way to it has moved.
"""
import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eci_supervisor.linux.ancestry import mount_number
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.inotify import Departures
from eci_supervisor.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from eci_supervisor.linux.syscall import shown
from eci_supervisor.mounts.mountinfo import MountEntry

PLACE = os.O_PATH | os.O_DIRECTORY
BELOW = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
Told = tuple[bytes, bytes]  # a mount table, the path of a directory


def told(table: OwnedFd, directory: OwnedFd) -> Told:
    """What they say now."""
    with open(table.fileno(), "rb", closefd=False) as file:
        file.seek(0)
        return file.read(), os.readlink(f"/proc/self/fd/{directory.fileno()}".encode())


class Places:
    """Those of some mounts, `mounted` on `mount`. A directory of that, of which `before` was told, is to be copied without them."""

    __slots__ = ("_before", "_departures", "_directory", "_table")

    def __init__(self, table: OwnedFd, directory: OwnedFd, before: Told) -> None:
        self._table, self._directory = OwnedFd(os.dup(table.fileno())), OwnedFd(os.dup(directory.fileno()))
        self._before, self._departures = before, Departures()

    def watch(self, mount: MountEntry, mounted: Iterable[MountEntry], namespace: OwnedFd) -> None:
        """From the root of `mount` downwards. What has left before it was watched, are_as_before tells, asked before the copy.

        namespace: the root of the mount namespace. Raises OSError where they cannot be watched.
        """
        with openat2(namespace.fileno(), mount.path.strip(b"/") or b".", PLACE, BELOW) as root:
            if mount_number(root) != mount.id:
                raise OSError(f"{shown(mount.path)}: hidden below another mount")
            for line in mounted:
                self._watch_below(root, line.path.removeprefix(mount.path).strip(b"/").split(b"/"))

    def _watch_below(self, root: OwnedFd, names: list[bytes]) -> None:
        at = OwnedFd(os.dup(root.fileno()))
        for name in names[:-1]:
            self._departures.add(at, name)
            at = openat2(at.fileno(), name, PLACE, BELOW | RESOLVE_NO_XDEV)
        self._departures.add(at, names[-1])

    def are_as_before(self) -> bool:
        """Since the last time it was asked. The table first: a name that has moved there and back has been told of by then."""
        return told(self._table, self._directory) == self._before and not self._departures.any()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for fd in (self._table, self._directory, self._departures):
            fd.close()
