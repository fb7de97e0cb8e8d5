"""Namespaces: entering new ones, joining others, asking who owns one."""
import fcntl
import os
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import check_libc, lib

CLONE_NEWTIME: Final = 0x80
CLONE_NEWNS: Final = 0x20000
CLONE_NEWCGROUP: Final = 0x2000000
CLONE_NEWUTS: Final = 0x4000000
CLONE_NEWIPC: Final = 0x8000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

# The names of /proc/PID/ns, by type.
NAMES: Final = {
    CLONE_NEWTIME: "time", CLONE_NEWNS: "mnt", CLONE_NEWCGROUP: "cgroup", CLONE_NEWUTS: "uts", CLONE_NEWIPC: "ipc", CLONE_NEWUSER: "user",
    CLONE_NEWPID: "pid", CLONE_NEWNET: "net",
}

_NS_GET_USERNS = 0xB701
_NS_GET_NSTYPE = 0xB703


def unshare(flags: int) -> None:
    check_libc(lib.unshare(flags), f"unshare {flags:#x}")


def setns(fd: int, kind: int) -> None:
    """Joins the namespace of `fd`; EINVAL if it is not of `kind`. A user namespace wants a process of one thread."""
    check_libc(lib.setns(fd, kind), f"setns {NAMES.get(kind, hex(kind))}")


def owner(namespace: int) -> OwnedFd:
    """The user namespace that owns a namespace, as an fd; EPERM if it is not ours or below ours."""
    return OwnedFd(fcntl.ioctl(namespace, _NS_GET_USERNS))


def kind(namespace: int) -> int:
    """CLONE_NEW* of an fd of a namespace; ENOTTY if it is none."""
    return fcntl.ioctl(namespace, _NS_GET_NSTYPE)


def identity(namespace: int | str) -> tuple[int, int]:
    """Device and inode of a namespace, by fd or path: equal for the same namespace only."""
    status = os.stat(namespace)
    return status.st_dev, status.st_ino
