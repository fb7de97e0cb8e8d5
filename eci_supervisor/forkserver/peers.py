"""Whom a fork server deals with: the processes it forked, the connections it holds, and the packets on them."""
import socket
from dataclasses import dataclass

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import ProtocolError
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import receive_with_fds


@dataclass(frozen=True, slots=True)
class Child:
    """A process we forked: a container's supervisor, one that reclaims it, or a creator, whose container is not known to us (None)."""

    pid: int
    pidfd: OwnedFd
    key: str | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A connection whose request has not come yet; `until` on the monotonic clock."""

    connection: socket.socket
    until: float


@dataclass(frozen=True, slots=True)
class Lingering:
    """A cgroup with a process that is on its way out: asked again at `until` (monotonic seconds), `patience_s` after the last time."""

    until: float
    patience_s: float


@dataclass(frozen=True, slots=True)
class Deferred:
    """A reclaim that waits for its container's supervisor to end by itself; `until` on the monotonic clock."""

    root: str
    container_id: str
    connection: socket.socket
    until: float


def receive(connection: socket.socket) -> tuple[bytes, list[OwnedFd]]:
    """One packet with the fds it carries. Raises OSError, ProtocolError if it was cut."""
    packet, fds, flags = receive_with_fds(connection, protocol.MAX_PACKET_BYTES, protocol.CALL_FDS, socket.MSG_DONTWAIT)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ProtocolError("a packet longer than the protocol has")
    return packet, fds


def answer(connection: socket.socket, what: protocol.Answer) -> None:
    """Sends `what`; a peer that is gone, or does not read, is not waited for."""
    try:
        connection.send(protocol.pack_answer(what), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return
