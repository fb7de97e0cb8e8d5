"""Dropping what a mounted file system remembers of names."""
import platform
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import check_libc, ffi, lib

NR_FSCONFIG: Final = 431  # the same in every ABI since 5.2
NR_FSPICK: Final = 433
FSPICK_CLOEXEC: Final = 1
FSPICK_EMPTY_PATH: Final = 8
FSCONFIG_CMD_RECONFIGURE: Final = 7

assert platform.machine() in {"x86_64", "aarch64"}, "the system call numbers above are those of 64-bit ABIs"


def drop_dentries(root_fd: int) -> None:
    """Has the superblock under a mount forget every name nobody holds, and the ones it knows not to exist.

    `root_fd` is the mount's root (O_PATH will do). A reconfiguration without any option changes nothing, but reconfigure_super()
    calls shrink_dcache_sb() before it asks the file system. 0.1 ms, and 0.4 ms more for each thousand names. Raises OSError.
    """
    flags = ffi.cast("unsigned int", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)
    context = OwnedFd(check_libc(lib.syscall(NR_FSPICK, ffi.cast("int", root_fd), ffi.new("char[]", b""), flags), "fspick"))
    with context:
        check_libc(
            lib.syscall(NR_FSCONFIG, ffi.cast("int", context.fileno()), ffi.cast("unsigned int", FSCONFIG_CMD_RECONFIGURE),
                        ffi.NULL, ffi.NULL, ffi.cast("int", 0)),
            "fsconfig RECONFIGURE",
        )
