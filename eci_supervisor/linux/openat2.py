"""openat2(2): opening a path with a say in how it is resolved."""
import os
import struct
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import AT_FDCWD, OPENAT2, encoded, shown, syscall

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

__all__ = ["AT_FDCWD", "RESOLVE_BENEATH", "RESOLVE_IN_ROOT", "RESOLVE_NO_MAGICLINKS", "RESOLVE_NO_SYMLINKS", "RESOLVE_NO_XDEV", "openat2"]


def openat2(directory: int, path: str | bytes, flags: int, resolve: int, mode: int = 0) -> OwnedFd:
    """An fd, close-on-exec. Source: fs/open.c."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    return OwnedFd(syscall(OPENAT2, directory, encoded(path), how, len(how), what=f"open {shown(path)}"))
