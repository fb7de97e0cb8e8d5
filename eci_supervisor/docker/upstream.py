"""One request to the engine on a connection of its own: nothing that a client says can become a second request on it. trio and h11."""
from collections.abc import AsyncIterator

import h11
import trio

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
    """The engine knows nothing of that name."""


class Upstream:
    """A connection for one request. Its methods raise EngineGone."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_EVENT_BYTES)

    @classmethod
    async def connect(cls, path: str) -> "Upstream":
        try:
            return cls(await trio.open_unix_socket(path))
        except OSError as error:
            raise EngineGone(f"the engine does not answer on {path}: {error.strerror}") from None

    async def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        data = self._http.send(event)
        if not data:
            return
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # It may have answered before it had read all, and closed: the answer counts.
            return

    async def next_event(self) -> h11.Event | None:
        """None once the connection is a raw stream."""
        while True:
            try:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                if event is h11.PAUSED:
                    return None
                self._http.receive_data(await self.stream.receive_some(READ_BYTES))
            except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise EngineGone(f"the engine broke off its answer: {error}") from None

    async def response(self) -> h11.Response | h11.InformationalResponse:
        """The final response's head, or 101."""
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Response) or (isinstance(event, h11.InformationalResponse) and event.status_code == 101):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise EngineGone("the engine closed the connection without an answer")

    async def body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self.next_event(), h11.Data):
            yield bytes(event.data)

    @property
    def beyond(self) -> bytes:
        """What came behind a 101: the beginning of the raw stream."""
        return bytes(self._http.trailing_data[0])

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.stream)


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
    headers: Headers = ((b"host", b"docker"), (b"connection", b"close"))
    await upstream.send(h11.Request(method=b"GET", target=target.encode("ascii"), headers=list(headers)))
    await upstream.send(h11.EndOfMessage())
    response = await upstream.response()
    answer = bytearray()
    async for data in upstream.body():
        answer += data
        if len(answer) > MAX_ANSWER_BYTES:
            raise EngineGone("the engine's answer has no end")
    if response.status_code == 404:
        raise NotThere
    if response.status_code != 200:
        raise EngineGone(f"the engine answered {response.status_code}")
    try:
        return loads(bytes(answer))
    except MalformedRequest as error:
        raise EngineGone(f"the engine answered what is no JSON: {error}") from None
