"""Two overlays over one upper directory, as an engine and we have them, neither attached anywhere."""
import os
from pathlib import Path

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import fsconfig_create, fsconfig_string, fsmount, fsopen


def overlay(lower: Path, upper: Path, work: Path) -> OwnedFd:
    """The root of a new overlay, mounted nowhere: it goes with its last descriptor."""
    for directory in (lower, upper, work):
        directory.mkdir(exist_ok=True)
    with fsopen("overlay") as context:
        for key, value in (("lowerdir", lower), ("upperdir", upper), ("workdir", work), ("index", "off")):
            fsconfig_string(context.fileno(), key, str(value))
        fsconfig_create(context.fileno())
        return fsmount(context.fileno())


def copy_of(fd: OwnedFd) -> OwnedFd:
    return OwnedFd(os.dup(fd.fileno()))


def below(fd: OwnedFd) -> Path:
    """A path to what is mounted."""
    return Path(f"/proc/self/fd/{fd.fileno()}")
