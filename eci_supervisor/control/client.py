"""Asking a container's supervisor, for programs without an event loop."""
import socket
from collections.abc import Iterator

from eci_supervisor.control import protocol
from eci_supervisor.control.protocol import Events, Inspect, Lines, ProtocolError
from eci_supervisor.linux.paths import ContainerDir

DEADLINE_S = 10.0
READ_BYTES = 65536


class Unanswered(RuntimeError):
    """One sentence: why there is no answer."""


class Connection:
    """A connection to control.sock; raises Unanswered where nobody listens."""

    def __init__(self, directory: ContainerDir) -> None:
        self._lines = Lines()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(DEADLINE_S)
            self._socket.connect(directory.control_socket)
        except OSError as error:
            self._socket.close()
            raise Unanswered(f"{directory.control_socket}: {error.strerror or error}") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: protocol.Request) -> None:
        try:
            self._socket.sendall(protocol.pack_request(request))
        except OSError as error:
            raise Unanswered(f"the supervisor went away: {error.strerror or error}") from error

    def receive(self) -> list[dict[str, object]] | None:
        """The answer's lines that are there, waiting for the next piece; None once the supervisor has hung up. Raises Unanswered."""
        try:
            received = self._socket.recv(READ_BYTES)
            return [protocol.parse_answer(line) for line in self._lines.feed(received)] if received else None
        except (OSError, ProtocolError) as error:
            raise Unanswered(str(error)) from error

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def inspect(directory: ContainerDir) -> dict[str, object]:
    """What the supervisor knows now. Raises Unanswered."""
    with Connection(directory) as connection:
        connection.send(Inspect())
        while (lines := connection.receive()) is not None:
            for line in lines:
                live = line.get("live")
                if isinstance(live, dict):
                    return live
    raise Unanswered("the supervisor hung up")


def events(directory: ContainerDir) -> Iterator[dict[str, object]]:
    """The events that the supervisor still has, oldest first. Raises Unanswered."""
    with Connection(directory) as connection:
        connection.send(Events())
        while (lines := connection.receive()) is not None:
            for line in lines:
                event = line.get("event")
                if not isinstance(event, dict):
                    return
                yield event
