"""System calls by number: those that glibc has no wrapper for, or has one only of late.

The numbers are alike on every architecture: all are younger than Linux 5.0, when the tables were joined.
"""
import errno
import os
from typing import Any, Final

from eci_supervisor.native import check_libc, ffi, lib

OPEN_TREE: Final = 428
MOVE_MOUNT: Final = 429
FSOPEN: Final = 430
FSCONFIG: Final = 431
FSMOUNT: Final = 432
FSPICK: Final = 433
CLONE3: Final = 435
OPENAT2: Final = 437
PIDFD_GETFD: Final = 438
MOUNT_SETATTR: Final = 442

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
AT_SYMLINK_NOFOLLOW: Final = 0x100

_LONG: Final = ffi.typeof("long")


def syscall(number: int, *arguments: int | bytes | None, what: str) -> int:
    """The result of a system call; bytes are passed as a NUL-terminated copy, None as NULL. Raises OSError that names `what`."""
    typed: list[Any] = []
    for argument in arguments:
        if argument is None:
            typed.append(ffi.NULL)
        elif isinstance(argument, bytes):
            typed.append(ffi.new("char[]", argument))
        else:
            typed.append(ffi.cast(_LONG, argument))
    result: int = check_libc(lib.syscall(number, *typed), what)
    return result


def encoded(path: bytes | str) -> bytes:
    """A path as the kernel takes it; EINVAL with a NUL in it: the kernel would see another, shorter one."""
    text = os.fsencode(path)
    if b"\0" in text:
        raise OSError(errno.EINVAL, f"{shown(text)}: a NUL in a path")
    return text


def shown(path: bytes | str) -> str:
    """A path as an error names it: whatever is not printable ASCII is escaped."""
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    return text.encode("unicode_escape", "surrogatepass").decode("ascii") if not (text.isascii() and text.isprintable()) else text
