"""Namespaces: entering new ones, joining others, asking who owns one."""
import fcntl
import os
import signal
import struct
from typing import Final, NoReturn

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import CLONE3, syscall
from eci_supervisor.native import check_libc, ffi, lib

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

_PR_SET_PDEATHSIG = 1
_NS_GET_USERNS = 0xB701
_NS_GET_PARENT = 0xB702
_NS_GET_NSTYPE = 0xB703


def unshare(flags: int) -> None:
    check_libc(lib.unshare(flags), f"unshare {flags:#x}")


def idle_child(flags: int) -> int:
    """The pid of a child in new namespaces, which are there when this returns: nobody waits for the child to run.

    It only waits for SIGKILL and must be reaped. Python's fork would run its hooks, and then the child would still have to unshare.
    """
    parent = os.getpid()
    arguments = struct.pack("=8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = syscall(CLONE3, arguments, len(arguments), what=f"clone {flags:#x}")
    if pid == 0:
        _idle(parent)
    return pid


def _idle(parent: int) -> NoReturn:
    """A child's whole life; nobody kills it if its parent is killed, so it goes along."""
    lib.prctl(_PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))
    while os.getppid() == parent:
        signal.pause()
    os._exit(0)


def setns(fd: int, kind: int) -> None:
    """Joins the namespace of `fd`; EINVAL if it is not of `kind`. A user namespace wants a process of one thread."""
    check_libc(lib.setns(fd, kind), f"setns {NAMES.get(kind, hex(kind))}")


def owner(namespace: int) -> OwnedFd:
    """The user namespace that owns a namespace, as an fd; EPERM if it is not ours or below ours."""
    return OwnedFd(fcntl.ioctl(namespace, _NS_GET_USERNS))


def ancestors(user_namespace: int) -> int:
    """How many user namespaces are above this one, up to our own: 0 for ours, and for one that is not below it."""
    count, here = 0, OwnedFd(os.dup(user_namespace))
    while True:
        with here:
            try:
                here = OwnedFd(fcntl.ioctl(here.fileno(), _NS_GET_PARENT))
            except PermissionError:
                return count
        count += 1


def kind(namespace: int) -> int:
    """CLONE_NEW* of an fd of a namespace; ENOTTY if it is none."""
    return fcntl.ioctl(namespace, _NS_GET_NSTYPE)


def identity(namespace: int | str) -> tuple[int, int]:
    """Device and inode of a namespace, by fd or path: equal for the same namespace only."""
    status = os.stat(namespace)
    return status.st_dev, status.st_ino
