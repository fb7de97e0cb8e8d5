"""Where a message's body ends, and what of the bytes is body: lengths, chunks, the end of a connection. No I/O.

A chunk costs a few hundred nanoseconds here, and what was read at once is passed on as one piece: clients send chunks of 32 KiB, the
engine smaller ones, and a relay that handled each by itself would be slower than the proxies that copy bytes.
"""
import re
from typing import Protocol

MAX_LINE_BYTES = 4096  # of a chunk's size with its extensions
MAX_TRAILER_BYTES = 16384
LAST_CHUNK = b"0\r\n\r\n"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t \x21-\x7e\x80-\xff]*)?")

_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t \x21-\x7e\x80-\xff]*")


class BadFraming(ValueError):
    """What is wrong with a body's chunks."""


class Body(Protocol):
    """done: its end has been seen; beyond: what came behind it."""

    done: bool
    beyond: bytes

    def feed(self, data: bytes) -> bytes:
        """What of `data`, which is never empty, is body. Raises BadFraming."""

    def ended(self) -> None:
        """The connection has ended. Raises BadFraming where the body has not."""


class Length:
    """A body of so many bytes."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done, self.beyond = length == 0, b""

    def feed(self, data: bytes) -> bytes:
        body = data if len(data) <= self._left else data[: self._left]
        self._left -= len(body)
        self.beyond = data[len(body) :]
        self.done = self._left == 0
        return body

    def ended(self) -> None:
        if not self.done:
            raise BadFraming(f"the body lacks {self._left} bytes")


class Chunks:
    """A chunked body. Extensions and trailers are read and dropped."""

    def __init__(self) -> None:
        self.done, self.beyond = False, b""
        self._held = b""  # a line that has not ended yet
        self._left = 0  # of the chunk that has begun
        self._step = self._size

    def feed(self, data: bytes) -> bytes:
        self.beyond, self._held = self._held + data, b""
        at, pieces = 0, []
        while not self.done:
            if self._left:
                piece = self.beyond[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = self.beyond.find(b"\r\n", at, at + MAX_LINE_BYTES)
            if end < 0:
                if len(self.beyond) - at >= MAX_LINE_BYTES:
                    raise BadFraming("a chunk's line has no end")
                break
            line, at = self.beyond[at:end], end + 2
            self._step(line)
        if self.done:
            self.beyond = self.beyond[at:]
        else:
            self._held, self.beyond = self.beyond[at:], b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def ended(self) -> None:
        if not self.done:
            raise BadFraming("the chunks have no end")

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BadFraming("a chunk's size is no number")
        self._left = int(found[1], 16)
        self._trailers = MAX_TRAILER_BYTES
        self._step = self._behind if self._left else self._trailer

    def _behind(self, line: bytes) -> None:
        if line:
            raise BadFraming("a chunk is longer than its size")
        self._step = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers -= len(line)
        if self._trailers < 0 or (line and not _TRAILER.fullmatch(line)):
            raise BadFraming("the trailers are none")
        self.done = not line


class Rest:
    """All until the connection ends."""

    def __init__(self) -> None:
        self.done, self.beyond = False, b""

    def feed(self, data: bytes) -> bytes:
        return data

    def ended(self) -> None:
        self.done = True


def chunk(data: bytes) -> bytes:
    """One chunk; `data` is not empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
