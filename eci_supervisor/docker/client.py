"""The relay's side towards a client: heads as bytes, bodies by h11, answers. trio and h11.

A connection of h11 is made for each request, from the bytes left over: so every head is judged as bytes before h11 sees it.
"""
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NoReturn

import h11
import trio

from eci_supervisor.docker.decision import Refused, malformed, too_large
from eci_supervisor.docker.head import END, MAX_HEAD_BYTES, Head, Headers, parse
from eci_supervisor.docker.strict_json import dumps
from eci_supervisor.docker.target import MalformedRequest

HEAD_S = 30.0  # for a head that has begun
IDLE_S = 300.0  # between two requests
BODY_STEP_S = 120.0  # for the next piece of a body
DRAIN_S = 5.0
READ_BYTES = 1 << 18


class ClientGone(Exception):
    """Nobody is there any more, or too slow to be waited for."""


class Client:
    """One client's connection. `head` and the methods about a body and an answer belong to the request read last."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.SERVER)
        self._head_only = False

    async def next_head(self) -> Head | None:
        """The next request's; None at the end. Raises Refused, ClientGone."""
        self._left = bytes(self._http.trailing_data[0])
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
        length = self._left.index(END) + len(END)
        try:
            head = parse(self._left[:length])
        except MalformedRequest as error:
            raise malformed(str(error)) from None
        self._head_only = head.method == "HEAD"
        self._http = h11.Connection(h11.SERVER)
        self._http.receive_data(self._left)
        self._left = b""
        try:
            self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise malformed(str(error)) from None
        return head

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces. Raises Refused for framing that is none, ClientGone."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    with trio.fail_after(BODY_STEP_S):
                        self._http.receive_data(await self.stream.receive_some(READ_BYTES))
                    continue
            except h11.RemoteProtocolError as error:
                raise malformed(str(error)) from None
            except (trio.TooSlowError, trio.BrokenResourceError) as error:
                raise ClientGone from error
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    async def whole_body(self, limit: int) -> bytes:
        """Raises Refused if it is larger than `limit` bytes, ClientGone."""
        whole = bytearray()
        async for data in self.body():
            whole += data
            if len(whole) > limit:
                raise too_large(limit)
        return bytes(whole)

    async def answer(self, status: int, headers: Headers, reason: bytes = b"") -> None:
        await self._send(h11.Response(status_code=status, headers=list(headers), reason=reason))

    async def answer_body(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def answered(self) -> bool:
        """Ends the answer; whether the connection can take another request."""
        await self._send(h11.EndOfMessage())
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def refuse(self, refused: Refused) -> None:
        """The relay's own answer, after which the connection ends: what of the request has not been read is never read."""
        body = dumps({"message": refused.text})
        headers = ((b"content-type", b"application/json"), (b"x-eci-code", refused.code.encode()), (b"connection", b"close"),
                   (b"content-length", str(len(body)).encode()))  # fmt: skip
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        await self.answer(refused.status, headers)
        if not self._head_only:
            await self.answer_body(body)
        await self._send(h11.EndOfMessage())
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
        self._http.receive_data(data)
        await trio.sleep_forever()

    async def raw(self, data: bytes) -> None:
        """Bytes of a stream that is no HTTP any more."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGone from error

    @property
    def beyond(self) -> bytes:
        """What the client has sent behind its request: the beginning of its stream, where the request turns into one."""
        return bytes(self._http.trailing_data[0])

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError as error:
            raise ClientGone from error
        self._left += data
        return bool(data)

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            await self.raw(data)
