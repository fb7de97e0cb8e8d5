"""Two overlays over one upper directory, as an engine and we have them, neither attached anywhere."""
import os
from pathlib import Path

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import check_libc, ffi, lib

NR_FSOPEN, NR_FSCONFIG, NR_FSMOUNT = 430, 431, 432
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6


def _fsconfig(context: OwnedFd, command: int, key: str | None = None, value: str | None = None) -> None:
    texts = [ffi.NULL if text is None else ffi.new("char[]", text.encode()) for text in (key, value)]
    numbers = [ffi.cast("int", number) for number in (context.fileno(), command)]
    check_libc(lib.syscall(NR_FSCONFIG, *numbers, *texts, ffi.cast("int", 0)), f"fsconfig {key}={value}")


def overlay(lower: Path, upper: Path, work: Path) -> OwnedFd:
    """The root of a new overlay, mounted nowhere: it goes with its last descriptor."""
    for directory in (lower, upper, work):
        directory.mkdir(exist_ok=True)
    with OwnedFd(check_libc(lib.syscall(NR_FSOPEN, ffi.new("char[]", b"overlay"), ffi.cast("int", 1)), "fsopen")) as context:
        for key, path in (("lowerdir", lower), ("upperdir", upper), ("workdir", work)):
            _fsconfig(context, FSCONFIG_SET_STRING, key, str(path))
        _fsconfig(context, FSCONFIG_SET_STRING, "index", "off")
        _fsconfig(context, FSCONFIG_CMD_CREATE)
        arguments = [ffi.cast("int", number) for number in (context.fileno(), 1, 0)]
        return OwnedFd(check_libc(lib.syscall(NR_FSMOUNT, *arguments), "fsmount"))


def copy_of(fd: OwnedFd) -> OwnedFd:
    return OwnedFd(os.dup(fd.fileno()))


def below(fd: OwnedFd) -> Path:
    """A path to what is mounted."""
    return Path(f"/proc/self/fd/{fd.fileno()}")
