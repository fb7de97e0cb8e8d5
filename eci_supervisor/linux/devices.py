"""Device nodes of our own."""
import os
import stat
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import fsconfig_create, fsmount, fsopen

NULL: Final = os.makedev(1, 3)


def is_null(status: os.stat_result) -> bool:
    """Whether it is the null device, by number."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == NULL


def private_null() -> OwnedFd:
    """/dev/null, opened for reading and writing through a node that is nobody else's: whoever changes its owner or mode changes no other.

    The node's file system is mounted nowhere and goes with the last descriptor.
    """
    with fsopen("tmpfs") as context:
        fsconfig_create(context.fileno())
        with fsmount(context.fileno()) as root:
            os.mknod("null", stat.S_IFCHR | 0o666, NULL, dir_fd=root.fileno())
            return OwnedFd(os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=root.fileno()))
