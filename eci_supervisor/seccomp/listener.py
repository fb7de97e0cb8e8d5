"""A seccomp listener as a runtime hands it over: one ContainerProcessState as JSON on a stream socket, the fd by SCM_RIGHTS.

Some facts (runc 1.1, crun 1.8): the connection stays open while the runtime waits for its init, which may wait for our first
answer, so the end of the JSON is what counts, never EOF. crun connects at create and may be silent until start: no time-out. The JSON
may come in several messages, the fds with the first. `pid` may be 0; which container it is, the metadata says.
"""
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import MSG_CMSG_CLOEXEC, descriptors

LIMIT_BYTES = 1 << 20  # annotations are in it: Kubernetes allows 256 KiB of them
MESSAGE_BYTES = 64 << 10
ANCILLARY_BYTES = socket.CMSG_SPACE(16 * 4)  # 16 fds, where one is expected
NAME = "seccompFd"


class ListenerError(ValueError):
    """What came is not a ContainerProcessState with a listener; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What we take from a ContainerProcessState. pid and container_pid are 0 where the runtime does not say; fds: their names."""

    pid: int
    container_pid: int
    metadata: str
    status: str
    fds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """A received listener. status is "creating" for the container's init and "running" for an exec."""

    fd: OwnedFd
    pid: int
    container_pid: int
    metadata: str
    status: str


def parse(text: bytes) -> ProcessState:
    """Raises ListenerError."""
    try:
        raw: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListenerError(f"the seccomp state is no JSON: {error}") from error
    match raw:
        case {"fds": [*names], "state": {"status": str(status), **state}}:
            pid, container_pid, metadata = raw.get("pid", 0), state.get("pid", 0), raw.get("metadata", "")
            if type(pid) is int and type(container_pid) is int and isinstance(metadata, str) and all(isinstance(n, str) for n in names):
                return ProcessState(pid, container_pid, metadata, status, tuple(names))
        case _:
            pass
    raise ListenerError("the seccomp state lacks fds or state.status, or a field is of another type")


class StateReader:
    """Collects the bytes of one connection until they are a whole JSON object."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, received: bytes) -> ProcessState | None:
        """The state once it is complete; b"" is the end of the stream. Raises ListenerError."""
        if not received:
            raise ListenerError("the runtime closed the connection before the seccomp state was complete")
        self._held += received
        if len(self._held) > LIMIT_BYTES:
            raise ListenerError(f"the seccomp state is longer than {LIMIT_BYTES} bytes")
        # An object ends with its brace. One inside it may end a message too: then it is not JSON yet, and more comes.
        if not self._held.rstrip().endswith(b"}") or not self._whole():
            return None
        return parse(bytes(self._held))

    def _whole(self) -> bool:
        try:
            json.loads(self._held)
        except (ValueError, RecursionError):
            return False
        return True


def taken(state: ProcessState, fds: Sequence[OwnedFd]) -> OwnedFd:
    """The listener among the received fds, whose order is that of the state's names; the others are closed. Raises ListenerError."""
    if NAME not in state.fds or state.fds.index(NAME) >= len(fds):
        raise ListenerError(f"the seccomp state came without {NAME}")
    chosen = fds[state.fds.index(NAME)]
    for fd in fds:
        if fd is not chosen:
            fd.close()
    return chosen


async def receive(connection: trio.socket.SocketType) -> Listener:
    """The listener of one connection, as soon as its JSON is complete. Raises ListenerError."""
    reader, fds, state = StateReader(), list[OwnedFd](), None
    try:
        while state is None:
            received, control, _, _ = await connection.recvmsg(MESSAGE_BYTES, ANCILLARY_BYTES, MSG_CMSG_CLOEXEC)
            fds += descriptors(control)
            state = reader.feed(received)
        return Listener(taken(state, fds), state.pid, state.container_pid, state.metadata, state.status)
    except BaseException:
        for fd in fds:
            fd.close()
        raise
