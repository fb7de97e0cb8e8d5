"""inotify(7): names that leave directories.

Some facts. rename(2) tells of it after the name has moved, but before it lets go of both directories: while the event is still to come,
neither can be renamed in again. An exchange of two names tells of both. A watch is on the directory, whatever its own name is by then.
"""
import os
import struct
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import syscall

NR_INOTIFY_INIT1, NR_INOTIFY_ADD_WATCH = {"x86_64": (294, 254), "aarch64": (26, 27)}[os.uname().machine]
IN_MOVED_FROM: Final = 0x40
IN_ONLYDIR: Final = 0x01000000
EVENT: Final = struct.Struct("=iIII")  # struct inotify_event; a name of so many bytes follows, padded with NULs
BUFFER_BYTES: Final = 256 * 1024


class Departures:
    """Names of directories; whether any of them has been renamed, within its directory or out of it."""

    __slots__ = ("_inotify", "_names")

    def __init__(self) -> None:
        self._inotify = OwnedFd(syscall(NR_INOTIFY_INIT1, os.O_CLOEXEC | os.O_NONBLOCK, what="inotify_init1"))
        self._names: set[tuple[int, bytes]] = set()

    def add(self, directory: OwnedFd, name: bytes) -> None:
        """From now on. The fd may be O_PATH. Raises OSError."""
        path = f"/proc/self/fd/{directory.fileno()}".encode()
        mask = IN_MOVED_FROM | IN_ONLYDIR
        watch = syscall(NR_INOTIFY_ADD_WATCH, self._inotify.fileno(), path, mask, what="inotify_add_watch")
        self._names.add((watch, name))

    def any(self) -> bool:
        """Since the last time it was asked; also if there has been more than could be told."""
        try:
            events = os.read(self._inotify.fileno(), BUFFER_BYTES)
        except BlockingIOError:
            return False
        if len(events) > BUFFER_BYTES // 2:
            return True
        at = 0
        while at < len(events):
            watch, mask, _, length = EVENT.unpack_from(events, at)
            name = events[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0")
            if not mask & IN_MOVED_FROM or (watch, name) in self._names:  # IN_Q_OVERFLOW, IN_IGNORED, IN_UNMOUNT
                return True
            at += EVENT.size + length
        return False

    def close(self) -> None:
        self._inotify.close()
