"""A container's control.sock: root's requests, one a line. What they do is the container's; here are connections, bounds and errors."""
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from errno import ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import Protocol

import trio

from eci_supervisor.control import protocol
from eci_supervisor.control.protocol import Attach, Events, Inspect, ProtocolError, Prove, Request, Stop
from eci_supervisor.linux.sockets import peer_credentials

MAX_CONNECTIONS = 64  # what is beyond waits in the socket's backlog
SILENCE_S = 30.0  # a connection that says nothing makes room
SEND_S = 10.0  # so does one that does not read
READ_BYTES = 65536
PASSING = frozenset({ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM})  # of accept(2): somebody else's trouble, or over in a moment


class Refused(Exception):  # the sentence for the peer, an error on its side
    """What was asked cannot be done; the text is the sentence for the peer."""


class Served(Protocol):
    """The container, as the control socket sees it. Each may raise Refused."""

    async def attach(self, request: Attach) -> None: ...
    async def prove(self) -> None: ...
    async def stop(self) -> None: ...
    async def live(self) -> Mapping[str, object]: ...
    def events(self, request: Events) -> AsyncIterator[tuple[int, Mapping[str, object]]]: ...


async def accept(listener: trio.socket.SocketType, serve: Callable[[trio.socket.SocketType], Awaitable[None]], most: int,
                 make_room: Callable[[], None] = lambda: None) -> None:
    """Accepts root's connections for ever, `most` served at once; each is closed when `serve` returns.

    `make_room` is called when one more than that comes; what it ends nothing for waits.
    """
    slots = trio.CapacityLimiter(most)

    async def one(connection: trio.socket.SocketType, borrower: object) -> None:
        try:
            with connection:
                await serve(connection)
        finally:
            slots.release_on_behalf_of(borrower)

    async with trio.open_nursery() as nursery:
        while True:
            borrower, connection = object(), await _next(listener)
            if slots.available_tokens == 0:
                make_room()
            await slots.acquire_on_behalf_of(borrower)
            nursery.start_soon(one, connection, borrower)


async def _next(listener: trio.socket.SocketType) -> trio.socket.SocketType:
    while True:
        try:
            connection, _ = await listener.accept()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            await trio.sleep(0.1)
            continue
        if peer_credentials(connection).uid == 0:
            return connection
        connection.close()


class ControlServer:
    """Serves connections to control.sock."""

    def __init__(self, container: Served) -> None:
        self._container = container
        self._waiting: dict[int, trio.CancelScope] = {}  # connections whose request has not come, the oldest first

    async def run(self, listener: trio.socket.SocketType) -> None:
        await accept(listener, self.serve, MAX_CONNECTIONS, self._make_room)

    def _make_room(self) -> None:
        """Hangs up on who has been silent longest."""
        for number in list(self._waiting)[:1]:
            self._waiting.pop(number).cancel()

    async def serve(self, connection: trio.socket.SocketType) -> None:
        """Answers until the peer hangs up, does not come to the end of a line within SILENCE_S, or says what is no request."""
        lines = protocol.Lines()
        try:
            while requests := await self._requests(connection, lines):
                for line in requests:
                    await self._answer(connection, protocol.parse_request(line))
        except ProtocolError as error:
            await _try_send(connection, protocol.failed(str(error)))
        except (OSError, trio.TooSlowError):
            return

    async def _requests(self, connection: trio.socket.SocketType, lines: protocol.Lines) -> list[bytes]:
        """At least one line, none once the peer has hung up or must make room. Raises ProtocolError, OSError, TooSlowError."""
        with trio.fail_after(SILENCE_S), trio.CancelScope() as scope:
            self._waiting[connection.fileno()] = scope
            try:
                while received := await connection.recv(READ_BYTES):
                    if complete := lines.feed(received):
                        return complete
            finally:
                self._waiting.pop(connection.fileno(), None)
        return []

    async def _answer(self, connection: trio.socket.SocketType, request: Request) -> None:
        try:
            answer = protocol.done()
            match request:
                case Attach():
                    await self._container.attach(request)
                case Prove():
                    await self._container.prove()
                case Stop():
                    await self._container.stop()
                case Inspect():
                    answer = protocol.done({"live": await self._container.live()})
                case Events():
                    async for seq, record in self._container.events(request):
                        await _send(connection, protocol.event(seq, record))
        except Refused as error:
            answer = protocol.failed(str(error))
        await _send(connection, answer)


async def _send(connection: trio.socket.SocketType, text: bytes) -> None:
    view = memoryview(text)
    with trio.fail_after(SEND_S):
        while view:
            view = view[await connection.send(view):]


async def _try_send(connection: trio.socket.SocketType, text: bytes) -> None:
    try:
        await _send(connection, text)
    except (OSError, trio.TooSlowError):
        return
