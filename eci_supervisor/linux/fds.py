"""File descriptors with one owner each."""
import os
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from types import TracebackType

OUT_OF_FDS = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})  # no new descriptor now; one that is closed somewhere makes room


class OwnedFd:
    """A file descriptor that is closed once, by its owner. A closed or given away one is -1 inside."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        """Takes over `fd`; raises ValueError if it is negative."""
        if fd < 0:
            raise ValueError("a negative number is no file descriptor")
        self._fd = fd

    def fileno(self) -> int:
        """The number; raises ValueError once it is closed or given away."""
        if self._fd < 0:
            raise ValueError("this file descriptor is closed or given away")
        return self._fd

    def steal(self) -> int:
        """The number, and with it the duty to close it."""
        fd, self._fd = self.fileno(), -1
        return fd

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> "OwnedFd":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OwnedFd({self._fd})"
