"""The relay's side towards a client: heads as bytes, bodies, answers. trio and h11.

A connection of h11 is made for each request, from its head alone: so every head is judged as bytes before h11 sees it. It writes the
answer's head; bodies are framing's.
"""
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NoReturn

import h11
import trio

from eci_supervisor.docker import framing
from eci_supervisor.docker.decision import Refused, malformed, too_large
from eci_supervisor.docker.head import END, MAX_HEAD_BYTES, Head, Headers, parse
from eci_supervisor.docker.strict_json import dumps
from eci_supervisor.docker.target import MalformedRequest

HEAD_S = 30.0  # for a head that has begun
IDLE_S = 300.0  # between two requests
BODY_STEP_S = 120.0  # for the next piece of a body that passes unread
WHOLE_BODY_S = 60.0  # for all of one that is read first
DRAIN_S = 5.0
READ_BYTES = 1 << 18


class ClientGone(Exception):
    """Nobody is there any more, or too slow to be waited for."""


class Client:
    """One client's connection. What is about a head, a body and an answer belongs to the request read last."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.SERVER)
        self._left = b""  # behind the last request's head, as long as its body has not been asked for
        self._body: framing.Body = framing.Length(0)
        self._waits = self._answered = self._chunked = self._closes = self._head_only = False

    async def next_head(self) -> Head | None:
        """The next request's; None at the end. Raises Refused, ClientGone."""
        self._left, self._answered, self._http = self.beyond, False, h11.Connection(h11.SERVER)
        with trio.move_on_after(IDLE_S):
            if not self._left and not await self._more():
                return None
        if not self._left:
            return None
        with trio.move_on_after(HEAD_S) as limit:
            while END not in self._left[:MAX_HEAD_BYTES]:
                if len(self._left) >= MAX_HEAD_BYTES or not await self._more():
                    raise malformed("the head has no end")
        if limit.cancelled_caught:
            raise ClientGone
        return self._head()

    def _head(self) -> Head:
        length = self._left.index(END) + len(END)
        try:
            head = parse(self._left[:length])
            self._http.receive_data(self._left[:length])
            self._http.next_event()
            self._waits = head.value(b"expect").lower() == b"100-continue"
        except (MalformedRequest, h11.RemoteProtocolError) as error:
            raise malformed(str(error)) from None
        self._left = self._left[length:]
        self._body = framing.Chunks() if head.value(b"transfer-encoding") else framing.Length(int(head.value(b"content-length") or b"0"))
        self._closes = any(name == b"connection" and b"close" in value.lower() for name, value in head.headers)
        self._head_only = head.method == "HEAD"
        return head

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces, none empty. Raises Refused for framing that is none, ClientGone."""
        if self._waits and not self._left and not self._body.done:
            await self.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        data, self._left = self._left, b""
        try:
            while True:
                if data and (piece := self._body.feed(data)):
                    yield piece
                if self._body.done:
                    return
                with trio.fail_after(BODY_STEP_S):
                    data = await self.stream.receive_some(READ_BYTES)
                if not data:
                    self._body.ended()
        except framing.BadFraming as error:
            raise malformed(str(error)) from None
        except (trio.TooSlowError, trio.BrokenResourceError) as error:
            raise ClientGone from error

    async def whole_body(self, limit: int) -> bytes:
        """Raises Refused if it is larger than `limit` bytes, ClientGone."""
        pieces, length = [], 0
        with trio.move_on_after(WHOLE_BODY_S) as patience:
            async for data in self.body():
                pieces.append(data)
                length += len(data)
                if length > limit:
                    raise too_large(limit)
        if patience.cancelled_caught:
            raise ClientGone
        return b"".join(pieces)

    async def answer(self, status: int, headers: Headers, reason: bytes = b"") -> None:
        """The head. Without a length, what follows goes in chunks."""
        bodiless = self._head_only or status in (204, 304)
        self._chunked = not bodiless and all(name != b"content-length" for name, _ in headers)
        self._closes = self._closes or any(name == b"connection" for name, _ in headers)
        own = ((b"transfer-encoding", b"chunked"),) if self._chunked else ()
        self._answered = True
        await self.raw(self._http.send(h11.Response(status_code=status, headers=[*headers, *own], reason=reason)) or b"")

    async def answer_body(self, data: bytes) -> None:
        await self.raw(framing.chunk(data) if self._chunked else data)

    async def answered(self) -> bool:
        """Ends the answer; whether the connection can take another request."""
        if self._chunked:
            await self.raw(framing.LAST_CHUNK)
        return self._body.done and not self._closes

    async def refuse(self, refused: Refused) -> None:
        """The relay's own answer, after which the connection ends: what of the request has not been read is never read."""
        body = dumps({"message": refused.text})
        code = ((b"x-eci-code", refused.code.encode()),) if refused.code else ()
        headers = ((b"content-type", b"application/json"), *code, (b"connection", b"close"), (b"content-length", str(len(body)).encode()))
        if self._answered:
            return
        await self.answer(refused.status, headers)
        if not self._head_only:
            await self.answer_body(body)
        await self._drain()

    async def _drain(self) -> None:
        """A client that still sends would get a broken pipe, and never read the answer: its bytes are dropped for a while."""
        with trio.move_on_after(DRAIN_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stream.send_eof()
            while await self.stream.receive_some(READ_BYTES):
                pass

    async def until_gone(self) -> NoReturn:
        """Raises ClientGone when the client has hung up; bytes of a next request are kept, and then it is not watched any more."""
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        self._body.beyond += data
        await trio.sleep_forever()

    async def raw(self, data: bytes) -> None:
        """Bytes of a stream that is no HTTP any more."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGone from error

    @property
    def beyond(self) -> bytes:
        """What the client has sent behind its request: the beginning of the next one, or of its stream where the request turns into one."""
        return self._left or self._body.beyond

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError as error:
            raise ClientGone from error
        self._left += data
        return bool(data)
