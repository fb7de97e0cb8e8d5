"""Whom a fork server deals with: the processes it forked, the connections it holds, and the packets on them."""
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import Deleted, Ping, ProtocolError, Reclaim
from eci_supervisor.linux.fds import OUT_OF_FDS, OwnedFd
from eci_supervisor.linux.sockets import peer_credentials, receive_with_fds
from eci_supervisor.oci.deleted import deleted

TURN_AWAY_S = 0.1


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
    if flags & socket.MSG_TRUNC:
        raise ProtocolError("a packet longer than the protocol has")
    if flags & socket.MSG_CTRUNC:
        raise ProtocolError("more descriptors than the protocol has, or than the fork server may have open")
    return packet, fds


def answer(connection: socket.socket, what: protocol.Answer) -> None:
    """Sends `what`; a peer that is gone, or does not read, is not waited for."""
    try:
        connection.send(protocol.pack_answer(what), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return


class Door:
    """Accepts connections, and turns them away when there is no descriptor for them: a listener that nobody accepts from wakes for ever."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._spare: OwnedFd | None = None
        self._reserve()

    def accept(self) -> socket.socket | None:
        """A connection of host root's; None if that was not to be had."""
        self._reserve()
        try:
            connection = self._listener.accept()[0]
        except OSError as error:
            if error.errno in OUT_OF_FDS:
                self._turn_away(error)
            return None  # else the peer is gone already
        if peer_credentials(connection).uid == 0:
            return connection
        connection.close()
        return None

    def close(self) -> None:
        """The listener too: in a child."""
        self._listener.close()
        if self._spare is not None:
            self._spare.close()

    def _reserve(self) -> None:
        if self._spare is None:
            with suppress(OSError):
                self._spare = OwnedFd(os.open("/", os.O_PATH | os.O_CLOEXEC))

    def _turn_away(self, error: OSError) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        try:
            with self._listener.accept()[0] as connection:
                connection.settimeout(TURN_AWAY_S)
                with suppress(OSError):
                    connection.recv(1)  # left unread it would take our answer away with it
                answer(connection, out_of_fds(error))
        except OSError:
            time.sleep(TURN_AWAY_S)  # the whole host has none


def out_of_fds(error: OSError) -> protocol.Failed:
    return protocol.Failed(
        f"the fork server is out of file descriptors ({error.strerror}). Remove containers, or allow the engine's service more open files")


def left_by(connection: socket.socket, request: Deleted) -> Reclaim | Ping:
    """What is to be given back by the command line of who asks, which waits for us; nothing is as good as a ping.

    Raises OSError for one in another pid namespace: it will ask by Python, which names the container itself.
    """
    caller = f"/proc/{peer_credentials(connection).pid}"
    with open(f"{caller}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    found = deleted(words, request.real, os.readlink(f"{caller}/cwd"), request.code)
    return Reclaim(*found, request.version) if found else Ping(request.version)
