"""The Docker socket through our relay: how late, and how many bytes a second, against socat and against the engine's own socket."""
import io
import json
import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from bench.docker import Sockets, connection, sockets
from bench.harness import MIB, P50, Bench, Round, Variant, ratio

REQUESTS: Final = 100
EXECS: Final = 4
SIZE: Final = 64 * MIB
OUTPUT: Final = 16 * MIB  # the engine takes half a second for it
PIECE: Final = MIB
AS_FAST: Final = 1 / 0.8  # of what socat takes
End = Callable[[Sockets], Path]


def relay(place: Sockets) -> Path:
    return place.relay.socket


def plain(place: Sockets) -> Path:
    return place.plain


def direct(place: Sockets) -> Path:
    return place.engine.socket


def head(method: str, target: str, *more: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: docker", *more, "", ""]).encode()


def answer(one: socket.socket) -> bytes:
    """An answer with a length, or without a body, on a connection that is kept."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += one.recv(65536)
    first, _, rest = got.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in first.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(rest) < sum(lengths):
        rest += one.recv(65536)
    return rest


def drained(one: socket.socket) -> int:
    """Bytes until the other side ends."""
    buffer, count = bytearray(PIECE), 0
    while size := one.recv_into(buffer):
        count += size
    return count


def asked(target: str) -> Callable[[Sockets, Path], Iterator[Round]]:
    """Requests on one connection, each behind the answer of the one before."""

    def rounds(_: Sockets, path: Path) -> Iterator[Round]:
        with connection(path) as one:

            def once() -> float:
                before = time.perf_counter()
                one.sendall(head("GET", target))
                answer(one)
                return time.perf_counter() - before

            yield lambda: [once() for _ in range(REQUESTS)]

    return rounds


def executed(place: Sockets, path: Path) -> Iterator[Round]:
    """`docker exec CONTAINER true`: created, started, heard to its end."""
    container = place.engine.detached("box", "sleep", "10000")

    def once() -> float:
        before = time.perf_counter()
        executes(path, container, "true")
        return time.perf_counter() - before

    yield lambda: [once() for _ in range(EXECS)]


def executes(path: Path, container: str, *words: str, stdin: int = 0) -> int:
    """How many bytes come back. stdin: so many bytes are sent to it."""
    body = json.dumps({"AttachStdout": True, "AttachStdin": bool(stdin), "Cmd": words, "Tty": bool(stdin)}).encode()
    json_body = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    with connection(path) as one:
        one.sendall(head("POST", f"/v1.41/containers/{container}/exec", *json_body) + body)
        name = json.loads(answer(one))["Id"]
    with connection(path) as one:
        start = b'{"Detach":false}'
        one.sendall(head("POST", f"/v1.41/exec/{name}/start", "Content-Type: application/json", f"Content-Length: {len(start)}",
                         "Connection: Upgrade", "Upgrade: tcp") + start)  # fmt: skip
        piece = bytes(PIECE)
        for _ in range(stdin // PIECE):
            one.sendall(piece)
        if stdin:
            one.shutdown(socket.SHUT_WR)
        return drained(one)


def timed(once: Callable[[], int], least: int) -> float:
    before = time.perf_counter()
    count = once()
    took_s = time.perf_counter() - before
    assert count >= least, count
    return took_s


def streamed(place: Sockets, path: Path) -> Iterator[Round]:
    """What a container writes, as a raw stream."""
    container = place.engine.detached("box", "sleep", "10000")
    words = ("head", "-c", str(OUTPUT), "/dev/zero")
    yield lambda: [timed(lambda: executes(path, container, *words), OUTPUT)]


def saved(place: Sockets, path: Path) -> Iterator[Round]:
    """`docker save`: a long answer."""
    big_image(place)

    def once() -> int:
        with connection(path) as one:
            one.sendall(head("GET", "/v1.41/images/big/get", "Connection: close"))
            return drained(one)

    yield lambda: [timed(once, SIZE)]


def big_image(place: Sockets) -> None:
    if place.engine.docker("inspect", "big").status != 0:
        root = place.engine.directory / "big"
        root.mkdir()
        (root / "content").write_bytes(os.urandom(SIZE))
        place.engine.import_image(root, "big")
        (root / "content").unlink()


def sent(target: str, content: Callable[[Sockets], bytes], media: str, *, chunked: bool) -> Callable[[Sockets, Path], Iterator[Round]]:
    """A long body, as the docker CLI sends it."""

    def rounds(place: Sockets, path: Path) -> Iterator[Round]:
        body = content(place)

        def once() -> int:
            with connection(path) as one:
                framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
                one.sendall(head("POST", target, f"Content-Type: {media}", framing, "Connection: close"))
                view = memoryview(body)
                for begin in range(0, len(body), 32768):  # Go's io.Copy
                    piece = bytes(view[begin : begin + 32768])
                    one.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    one.sendall(b"0\r\n\r\n")
                return drained(one)

        yield lambda: [timed(once, 1)]

    return rounds


def archive(place: Sockets) -> bytes:
    big_image(place)
    with connection(place.engine.socket) as one:
        one.sendall(head("GET", "/v1.41/images/big/get", "Connection: close").replace(b"HTTP/1.1", b"HTTP/1.0"))
        whole = bytearray()
        while data := one.recv(PIECE):
            whole += data
    return bytes(whole[whole.index(b"\r\n\r\n") + 4 :])


def context(_: Sockets) -> bytes:
    """A build context: nothing is built of it but its Dockerfile."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in (("Dockerfile", b"FROM scratch\nLABEL a=b\n"), ("content", os.urandom(SIZE))):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def side(name: str, end: End, rounds: Callable[[Sockets, Path], Iterator[Round]]) -> Variant:
    def opened() -> AbstractContextManager[Round]:
        @contextmanager
        def whole() -> Iterator[Round]:
            with sockets() as place:
                yield from rounds(place, end(place))

        return whole()

    return Variant(name, opened)


def late(name: str, rounds: Callable[[Sockets, Path], Iterator[Round]]) -> tuple[Bench, ...]:
    return tuple(Bench(f"docker socket: {name}, against {other}", side("relay", relay, rounds), side(other, end, rounds))
                 for other, end in (("socat", plain), ("the engine's own", direct)))  # fmt: skip


def fast(name: str, rounds: Callable[[Sockets, Path], Iterator[Round]]) -> Bench:
    return Bench(f"docker socket: {name}", side("relay", relay, rounds), side("socat", plain, rounds), (ratio(P50, AS_FAST),), rounds=5)


BENCHES = (
    *late("GET /_ping", asked("/_ping")), *late("GET /version", asked("/v1.41/version")), *late("exec", executed),
    fast("exec's output", streamed), fast("image save", saved),
    fast("image load", sent("/v1.41/images/load?quiet=1", archive, "application/x-tar", chunked=True)),
    fast("build context", sent("/v1.41/build?t=built", context, "application/x-tar", chunked=True)),
)
