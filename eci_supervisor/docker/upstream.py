"""One request to the engine on a connection of its own: nothing that a client says can become a second request on it. trio and h11.

h11 writes and reads heads; bodies are framing's.
"""
from collections.abc import AsyncIterator

import h11
import trio

from eci_supervisor.docker import framing
from eci_supervisor.docker.head import Headers
from eci_supervisor.docker.strict_json import Json, loads
from eci_supervisor.docker.target import MalformedRequest

READ_BYTES = 1 << 18
MAX_ANSWER_BYTES = 4 << 20
ASK_S = 15.0  # the engine holds a container's lock while it starts it
MAX_EVENT_BYTES = 1 << 17


class EngineGone(Exception):
    """The engine does not answer, or not in HTTP; the text is a sentence."""


class NotThere(Exception):
    """The engine knows nothing of that name; the text is its own."""


class Upstream:
    """A connection for one request. Its methods raise EngineGone."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_EVENT_BYTES)
        self._chunked = False

    @classmethod
    async def connect(cls, path: str) -> "Upstream":
        try:
            return cls(await trio.open_unix_socket(path))
        except OSError as error:
            raise EngineGone(f"the engine does not answer on {path}: {error.strerror}") from None

    async def ask(self, method: str, target: bytes, headers: Headers, body: bytes = b"") -> None:
        """The head, and as much of the body as there is already; what is missing of it goes by send_body."""
        self._chunked = any(name == b"transfer-encoding" for name, _ in headers)
        await self._send((self._http.send(h11.Request(method=method, target=target, headers=list(headers))) or b"") + body)

    async def send_body(self, data: bytes) -> None:
        """Not empty."""
        await self._send(framing.chunk(data) if self._chunked else data)

    async def end_body(self) -> None:
        if self._chunked:
            await self._send(framing.LAST_CHUNK)

    async def _send(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # It may have answered before it had read all, and closed: the answer counts.
            return

    async def _receive(self) -> bytes:
        try:
            return await self.stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise EngineGone(f"the engine broke off its answer: {error}") from None

    async def response(self) -> h11.Response | h11.InformationalResponse:
        """The final response's head, or 101."""
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self._receive())
                elif isinstance(event, h11.Response) or (isinstance(event, h11.InformationalResponse) and event.status_code == 101):
                    return event
                elif not isinstance(event, h11.InformationalResponse):
                    raise EngineGone("the engine closed the connection without an answer")
        except h11.RemoteProtocolError as error:
            raise EngineGone(f"the engine broke off its answer: {error}") from None

    async def body(self, method: str, response: h11.Response | h11.InformationalResponse) -> AsyncIterator[bytes]:
        """Of the answer to a request of that method: its pieces, none empty."""
        body, data = _framed(method, response), self.beyond
        try:
            while True:
                if data and (piece := body.feed(data)):
                    yield piece
                if body.done:
                    return
                data = await self._receive()
                if not data:
                    body.ended()
        except framing.BadFraming as error:
            raise EngineGone(f"the engine broke off its answer: {error}") from None

    async def whole_body(self, method: str, response: h11.Response | h11.InformationalResponse) -> bytes:
        """At most MAX_ANSWER_BYTES."""
        whole = bytearray()
        async for data in self.body(method, response):
            whole += data
            if len(whole) > MAX_ANSWER_BYTES:
                raise EngineGone("the engine's answer has no end")
        return bytes(whole)

    @property
    def beyond(self) -> bytes:
        """What came behind the answer's head: the beginning of its body, or of a raw stream."""
        return bytes(self._http.trailing_data[0])

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.stream)


def _framed(method: str, response: h11.Response | h11.InformationalResponse) -> framing.Body:
    """Source: RFC 9112, 6.3; h11 has refused two lengths, and codings but chunked."""
    if method == "HEAD" or response.status_code in (204, 304):
        return framing.Length(0)
    headers = dict(response.headers)
    if b"transfer-encoding" in headers:
        return framing.Chunks()
    return framing.Length(int(headers[b"content-length"])) if b"content-length" in headers else framing.Rest()


async def ask(path: str, target: str) -> Json:
    """The JSON that the engine answers to a small GET. Raises EngineGone, NotThere."""
    with trio.move_on_after(ASK_S):
        upstream = await Upstream.connect(path)
        try:
            return await _ask(upstream, target)
        finally:
            await upstream.aclose()
    raise EngineGone(f"the engine has not answered within {ASK_S:.0f} s")


async def _ask(upstream: Upstream, target: str) -> Json:
    await upstream.ask("GET", target.encode("ascii"), ((b"host", b"docker"), (b"connection", b"close")))
    response = await upstream.response()
    answer = await upstream.whole_body("GET", response)
    try:
        found = loads(answer)
    except MalformedRequest as error:
        raise EngineGone(f"the engine answered what is no JSON: {error}") from None
    if response.status_code == 404:
        raise NotThere(found.get("message", "") if isinstance(found, dict) else "")
    if response.status_code != 200:
        raise EngineGone(f"the engine answered {response.status_code}")
    return found
