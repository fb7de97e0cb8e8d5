"""Unix sockets: listening, passing file descriptors, asking who is at the other end.

Python's recvmsg leaves received descriptors inheritable: MSG_CMSG_CLOEXEC is ours to add, or a child keeps a listener alive.
"""
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from eci_supervisor.linux.fds import OwnedFd

MSG_CMSG_CLOEXEC = 0x40000000
_INT_BYTES = 4


class PeerCredentials(NamedTuple):
    pid: int
    uid: int
    gid: int


class HasOptions(Protocol):
    """A socket of the standard library, or of trio."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_credentials(connection: HasOptions) -> PeerCredentials:
    """Who connected (SO_PEERCRED), as our namespaces name it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return PeerCredentials(*struct.unpack("3i", raw))


def listen_unix(path: str, kind: int = socket.SOCK_STREAM, backlog: int = 64) -> socket.socket:
    """A listening socket at `path`, which only root can open (0600); one that lies there already is replaced."""
    listener = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    try:
        fresh = f"{path}.new"
        if os.path.lexists(fresh):
            os.unlink(fresh)
        os.fchmod(listener.fileno(), 0o600)  # of the inode that bind makes: there is no moment at which others may connect
        listener.bind(fresh)
        listener.listen(backlog)
        os.rename(fresh, path)
    except BaseException:
        listener.close()
        raise
    return listener


def send_with_fds(connection: socket.socket, payload: bytes, fds: Sequence[int]) -> int:
    """Sends `payload` with descriptors (SCM_RIGHTS); the number of bytes sent."""
    rights = struct.pack(f"{len(fds)}i", *fds)
    return connection.sendmsg([payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if fds else [])


def receive_with_fds(connection: socket.socket, size: int, max_fds: int, flags: int = 0) -> tuple[bytes, list[OwnedFd], int]:
    """Up to `size` bytes, the descriptors that came with them (close-on-exec) and the message's flags (MSG_CTRUNC: some were lost)."""
    payload, control, message_flags, _ = connection.recvmsg(size, socket.CMSG_SPACE(max_fds * _INT_BYTES), flags | MSG_CMSG_CLOEXEC)
    return payload, descriptors(control), message_flags


def descriptors(control: Iterable[tuple[int, int, bytes]]) -> list[OwnedFd]:
    """The descriptors in the ancillary data of a received message."""
    fds: list[OwnedFd] = []
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(data) - len(data) % _INT_BYTES
            fds += [OwnedFd(fd) for fd in struct.unpack(f"{whole // _INT_BYTES}i", data[:whole])]
    return fds
