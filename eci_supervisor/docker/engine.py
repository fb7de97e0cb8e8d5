"""The engine's API as create asks it: short questions, one connection each, answered within a deadline.

Some facts. While the engine starts a container it holds that container's lock: /containers/ID/json from a runtime would wait for the
start, and so for ever. The list of containers is answered from a snapshot. It tells the image by id, which a moved tag leaves alone.
"""
import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import h11

MAX_ANSWER_BYTES: Final = 32 << 20
DEADLINE_S: Final = 10.0
PROGRAM: Final = "dockerd"


class EngineError(RuntimeError):
    """The engine cannot be asked; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP; body: parsed, None where it is not JSON."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


class Engine:
    """The engine behind a Unix socket. All its answers together come within `deadline_s`, or are errors."""

    def __init__(self, path: str, deadline_s: float = DEADLINE_S) -> None:
        self._path = path
        self._until = time.monotonic() + deadline_s

    def container(self, container: str) -> dict[str, Any] | None:
        """The list's line about a container. Raises EngineError."""
        filters = quote(json.dumps({"id": [container]}))
        lines = self._list(f"/containers/json?all=1&filters={filters}")
        return next((line for line in lines if line.get("Id") == container), None)

    def image(self, image: str) -> dict[str, Any] | None:
        """What the engine knows of an image, by id or name. Raises EngineError."""
        answer = self.get(f"/images/{quote(image, safe='/:@')}/json")
        if answer.status == 404:
            return None
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise EngineError(f"the engine cannot tell of image {image}: {answer.message or answer.status}")
        return answer.body

    def images(self) -> list[dict[str, Any]]:
        """All images with a name or a digest. Raises EngineError."""
        return self._list("/images/json?digests=1")

    def distribution(self, reference: str, credentials: str = "") -> Answer:
        """What the registry says of a reference, asked by the engine, with its mirrors, proxies and certificates. Raises EngineError."""
        headers = [("X-Registry-Auth", credentials)] if credentials else []
        return self.get(f"/distribution/{quote(reference, safe='/:@')}/json", headers)

    def get(self, target: str, headers: list[tuple[str, str]] | None = None) -> Answer:
        """Raises EngineError."""
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=target, headers=[("Host", "docker"), ("Connection", "close"), *(headers or [])])
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
                wire.settimeout(self._left())
                wire.connect(self._path)
                wire.sendall((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
                return self._answer(connection, wire)
        except TimeoutError as error:
            raise EngineError(f"the engine at {self._path} has not answered in time") from error
        except OSError as error:
            raise EngineError(f"the engine at {self._path} cannot be asked: {error.strerror or error}") from error
        except h11.ProtocolError as error:
            raise EngineError(f"what answers at {self._path} is no engine: {error}") from error

    def _answer(self, connection: h11.Connection, wire: socket.socket) -> Answer:
        status, body, ended = 0, b"", False
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                if ended:
                    raise EngineError(f"the engine at {self._path} broke off its answer") from error
                raise
            if event is h11.NEED_DATA:
                wire.settimeout(self._left())
                data = wire.recv(65536)
                ended = not data
                connection.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER_BYTES:
                    raise EngineError(f"the engine's answer is longer than {MAX_ANSWER_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return Answer(status, _parsed(body))

    def _list(self, target: str) -> list[dict[str, Any]]:
        answer = self.get(target)
        if answer.status != 200 or not isinstance(answer.body, list):
            raise EngineError(f"the engine answers {answer.status}: {answer.message}")
        return [line for line in answer.body if isinstance(line, dict)]

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _parsed(body: bytes) -> Any:  # noqa: ANN401 # JSON
    try:
        return json.loads(body)
    except ValueError:
        return None
