"""One question to a container's supervisor, for programs that have no event loop."""
import socket

from eci_supervisor.control import protocol
from eci_supervisor.control.protocol import Lines, ProtocolError, Request
from eci_supervisor.linux.paths import ContainerDir

DEADLINE_S = 15.0


class SupervisorError(RuntimeError):
    """One sentence: the supervisor said no, or said nothing."""


def is_supervised(directory: ContainerDir) -> bool:
    """Whether a supervisor listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect(directory.control_socket)
        except OSError:
            return False
    return True


def ask(directory: ContainerDir, request: Request, deadline_s: float = DEADLINE_S) -> dict[str, object]:
    """The first line of the answer. Raises SupervisorError."""
    lines = Lines()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(deadline_s)
        try:
            connection.connect(directory.control_socket)
            connection.sendall(protocol.pack_request(request))
            while received := connection.recv(65536):
                if complete := lines.feed(received):
                    return protocol.parse_answer(complete[0])
        except ProtocolError as error:
            raise SupervisorError(str(error)) from error
        except OSError as error:
            raise SupervisorError(f"the supervisor does not answer: {error.strerror or error}") from error
    raise SupervisorError("the supervisor ended")
