"""A fanotify group that says on which superblock a file was closed.

Some facts about fanotify on overlayfs:
Marks that report file handles (FAN_REPORT_FID) are refused for a whole overlay, so events carry open file descriptors, and
creations, renames and deletions are not reported at all. An event in the queue holds its file's mount, hence the superblock.
A mark goes with its superblock; it does not keep it.
"""
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import AT_FDCWD, syscall

NR_FANOTIFY_INIT, NR_FANOTIFY_MARK = {"x86_64": (300, 301), "aarch64": (262, 263)}[os.uname().machine]
FAN_CLOEXEC: Final = 0x1
FAN_NONBLOCK: Final = 0x2
FAN_MARK_ADD: Final = 0x1
FAN_MARK_REMOVE: Final = 0x2
FAN_MARK_FILESYSTEM: Final = 0x100
FAN_CLOSE_WRITE: Final = 0x8
FAN_CLOSE_NOWRITE: Final = 0x10
FAN_Q_OVERFLOW: Final = 0x4000
FAN_ONDIR: Final = 0x40000000

EVENT: Final = struct.Struct("=IBBHQii")  # struct fanotify_event_metadata
BUFFER_BYTES: Final = EVENT.size * 64  # at most so many descriptors are open at a time


@dataclass(frozen=True, slots=True)
class Closed:
    """Files were closed. `device` is their st_dev, None when the queue ran over: then any file may have been."""

    device: int | None
    written: bool
    pid: int


class CloseWatch:
    """A group with marks for FAN_CLOSE on whole file systems, directories included. Root only."""

    __slots__ = ("_group",)

    def __init__(self) -> None:
        # O_NONBLOCK for the events' files: the kernel opens them, and one may be a fifo.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOATIME
        self._group = OwnedFd(syscall(NR_FANOTIFY_INIT, FAN_CLOEXEC | FAN_NONBLOCK, flags, what="fanotify_init"))

    def fileno(self) -> int:
        return self._group.fileno()

    def close(self) -> None:
        self._group.close()

    def _mark(self, action: int, root_fd: int) -> None:
        mask = FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE | FAN_ONDIR
        # A path is needed: a null one takes the descriptor itself, which may not be O_PATH.
        path = f"/proc/self/fd/{root_fd}".encode()
        syscall(NR_FANOTIFY_MARK, self.fileno(), action | FAN_MARK_FILESYSTEM, mask, AT_FDCWD, path, what="fanotify_mark")

    def add(self, root_fd: int) -> None:
        """Watches the file system of `root_fd`. Raises OSError."""
        self._mark(FAN_MARK_ADD, root_fd)

    def remove(self, root_fd: int) -> None:
        """Ends what add() began. Raises OSError, ENOENT if there is no mark."""
        self._mark(FAN_MARK_REMOVE, root_fd)

    def read(self) -> list[Closed] | None:
        """Up to 64 events, oldest first; None when there are none. Their descriptors are closed again when it returns."""
        try:
            buffer = os.read(self.fileno(), BUFFER_BYTES)
        except BlockingIOError:
            return None
        except InterruptedError:
            return []
        except OSError:
            # The kernel could not open an event's file and threw the event away: too many open files, or the file is gone.
            return [Closed(None, written=True, pid=0)]
        return list(_parse(buffer))


def _parse(buffer: bytes) -> Iterator[Closed]:
    # Every descriptor gets its owner before the first can fail.
    events = [(mask, OwnedFd(fd) if fd >= 0 else None, pid) for _, _, _, _, mask, fd, pid in EVENT.iter_unpack(buffer)]
    for mask, file, pid in events:
        if file is None:
            yield Closed(None, written=True, pid=0)
            continue
        with file:
            yield Closed(os.fstat(file.fileno()).st_dev, written=bool(mask & FAN_CLOSE_WRITE), pid=pid)
