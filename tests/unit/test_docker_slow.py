"""Peers that are slow, silent, endless or no HTTP: real sockets, and for the relay's own patience a clock that jumps."""
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from eci_supervisor.docker.client import BODY_STEP_S, HEAD_S, IDLE_S, WHOLE_BODY_S, Client, ClientGone
from eci_supervisor.docker.decision import Refused
from eci_supervisor.docker.engine import Engine, EngineError
from eci_supervisor.docker.upstream import ASK_S, EngineGone, NotThere, Upstream, ask

Peer = Callable[[trio.SocketStream], Awaitable[None]]
HEAD = b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n"


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


def waited(client: Callable[[Client], Awaitable[object]], peer: Peer) -> float:
    """How long the relay stays with a client that does as `peer` says, and then nothing."""

    async def both() -> float:
        ours, theirs = pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer, theirs)
            begin = trio.current_time()
            with pytest.raises((ClientGone, Refused)):
                await client(Client(ours))
            took_s = trio.current_time() - begin
            nursery.cancel_scope.cancel()
        await ours.aclose()
        await theirs.aclose()
        return took_s

    return trio.run(both, clock=MockClock(autojump_threshold=0.01))


async def whole(client: Client) -> bytes:
    await client.next_head()
    return await client.whole_body(1 << 20)


async def passed(client: Client) -> None:
    await client.next_head()
    async for _ in client.body():
        pass


def dripping(first: bytes, byte: bytes, every_s: float) -> Peer:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(first)
        while True:
            await trio.sleep(every_s)
            try:
                await stream.send_all(byte)
            except trio.BrokenResourceError:
                return

    return peer


@pytest.mark.parametrize(("reads", "peer", "limit_s"), [
    (whole, dripping(b"GET ", b"x", 1.0), HEAD_S), (whole, dripping(HEAD, b"x", 10.0), WHOLE_BODY_S),
    (passed, dripping(HEAD, b"x", BODY_STEP_S + 1), BODY_STEP_S), (passed, dripping(HEAD[:-2], b"\r\n", HEAD_S + 1), HEAD_S),
])  # fmt: skip
def test_a_slow_sender_is_left(reads: Callable[[Client], Awaitable[object]], peer: Peer, limit_s: float) -> None:
    assert waited(reads, peer) == pytest.approx(limit_s)


def test_a_client_that_asks_nothing_is_left() -> None:
    async def idle() -> None:
        ours, theirs = pair()
        assert await Client(ours).next_head() is None
        assert trio.current_time() - begin == pytest.approx(IDLE_S)
        await ours.aclose()
        await theirs.aclose()

    clock = MockClock(autojump_threshold=0.01)
    begin = clock.current_time()
    trio.run(idle, clock=clock)


def test_a_body_that_ends_too_early_is_malformed() -> None:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD + b"x")
        await stream.send_eof()

    assert waited(whole, peer) < 1.0


OK = b"HTTP/1.1 200 OK\r\n"


def answered(raw: bytes) -> bytes:
    """What the relay makes of an answer of the engine's, which then closes."""

    async def both() -> bytes:
        ours, theirs = pair()
        await theirs.send_all(raw)
        await theirs.send_eof()
        upstream = Upstream(ours)
        try:
            await upstream.ask("GET", b"/x", ((b"host", b"d"),))
            response = await upstream.response()
            return b"%d " % response.status_code + await upstream.whole_body("GET", response)
        finally:
            await upstream.aclose()
            await theirs.aclose()

    return trio.run(both)


@pytest.mark.parametrize(("raw", "reads"), [
    (OK + b"Content-Length: 2\r\n\r\nab", b"200 ab"), (OK + b"\r\nab", b"200 ab"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n", b"200 "),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", b"200 "), (b"HTTP/1.1 204 No\r\n\r\n", b"204 "),
    (b"HTTP/1.1 301 Moved\r\nLocation: /y\r\nContent-Length: 1\r\n\r\nx", b"301 x"), (b"HTTP/1.0 200 OK\r\n\r\nab", b"200 ab"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"200 ab"), (OK + b"X: " + b"y" * 60000 + b"\r\n\r\n", b"200 "),
])  # fmt: skip
def test_m09_answers_of_the_engine(raw: bytes, reads: bytes) -> None:
    assert answered(raw) == reads


@pytest.mark.parametrize("raw", [
    b"", b"garbage\r\n\r\n", OK, OK + b"Content-Length: 9\r\n\r\nab", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    OK + b"X: " + b"y" * 200000, OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
])  # fmt: skip
def test_m09_answers_that_are_none(raw: bytes) -> None:
    with pytest.raises(EngineGone, match="the engine"):
        answered(raw)


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """What answers there does as `serve` says with each connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def silent(connection: socket.socket) -> None:
    """Until the other side has gone."""
    while connection.recv(4096):
        pass


def says(raw: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(raw)

    return serve


@pytest.mark.parametrize(("serve", "why"), [
    (silent, "has not answered in time"), (says(b"SSH-2.0-OpenSSH\r\n\r\n"), "is no engine"), (says(b""), "broke off"),
    (says(OK + b"Content-Length: 50\r\n\r\n["), "broke off"), (says(OK + b"Content-Length: 2\r\n\r\n{}"), "answers 200"),
])  # fmt: skip
def test_an_engine_that_create_asks(tmp_path: Path, serve: Callable[[socket.socket], None], why: str) -> None:
    with listening(tmp_path / "s", serve), pytest.raises(EngineError, match=why):
        Engine(str(tmp_path / "s"), deadline_s=0.2).container("x")


def test_no_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be asked: No such file"):
        Engine(str(tmp_path / "s")).image("x")


def test_the_relays_question_has_its_time(tmp_path: Path) -> None:
    """And the engine's own words where it knows nothing of a name."""

    async def asked() -> float:
        begin = trio.current_time()
        with pytest.raises(EngineGone, match="has not answered within"):
            await ask(str(tmp_path / "s"), "/version")
        return trio.current_time() - begin

    with listening(tmp_path / "s", silent):
        assert trio.run(asked, clock=MockClock(autojump_threshold=0.01)) == pytest.approx(ASK_S)
    unknown = b'HTTP/1.1 404 No\r\nContent-Length: 23\r\n\r\n{"message":"none such"}'
    with listening(tmp_path / "t", says(unknown)), pytest.raises(NotThere, match="none such"):
        trio.run(ask, str(tmp_path / "t"), "/x")
