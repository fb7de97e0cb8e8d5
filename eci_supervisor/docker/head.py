"""The head of a request, judged as bytes: whatever two servers could read in two ways is malformed. No I/O.

h11 reads it afterwards; it is more lenient (a bare LF, a folded line, both framings at once), as servers are.
"""
import re
from dataclasses import dataclass

from eci_supervisor.docker.target import MalformedRequest

MAX_HEAD_BYTES = 65536
END = b"\r\n\r\n"
Headers = tuple[tuple[bytes, bytes], ...]

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([^ ]+) HTTP/1\.1")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
# What goes on to the engine; everything else is the client's own affair, or the relay's.
_KEPT = frozenset({b"user-agent", b"accept", b"content-type", b"x-registry-auth", b"x-registry-config"})
_STREAM_PREFIXES = (b"sec-websocket-", b"x-docker-expose-session-")


@dataclass(frozen=True, slots=True)
class Head:
    """method and target as they came; headers with names in lower case, in their order."""

    method: str
    target: bytes
    headers: Headers

    def value(self, name: bytes) -> bytes:
        """Of a header that stands once, b"" where it does not stand. Raises MalformedRequest where it stands twice."""
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise MalformedRequest(f"{name.decode()} twice")
        return values[0] if values else b""

    @property
    def has_body(self) -> bool:
        return bool(self.value(b"transfer-encoding")) or self.value(b"content-length") not in (b"", b"0")

    @property
    def media_type(self) -> bytes:
        return self.value(b"content-type").partition(b";")[0].strip().lower()


def parse(block: bytes) -> Head:
    """Reads a head, its empty line included. Raises MalformedRequest."""
    if not block.endswith(END) or len(block) > MAX_HEAD_BYTES:
        raise MalformedRequest(f"the head is longer than {MAX_HEAD_BYTES} bytes")
    text = block[: -len(END)]
    if b"\0" in block or text.count(b"\n") != text.count(b"\r\n") or text.count(b"\r") != text.count(b"\r\n"):
        raise MalformedRequest("a line that does not end with CR LF, or a NUL")
    first, *lines = text.split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise MalformedRequest("the first line is not METHOD TARGET HTTP/1.1")
    head = Head(found[1].decode(), found[2], tuple(_header(line) for line in lines))
    _check_framing(head)
    return head


def kept(head: Head, upgrades: frozenset[bytes]) -> Headers:
    """The headers that the relay writes anew for the engine. `upgrades`: protocols that the route's connection may change to."""
    return tuple((name, value) for name, value in head.headers if name in _KEPT or (upgrades and name.startswith(_STREAM_PREFIXES)) or (
        name == b"upgrade" and value.lower() in upgrades))  # fmt: skip


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise MalformedRequest("a header that is folded, or has no name, or a character that none has")
    return name.lower(), value.strip(b" \t")


def _check_framing(head: Head) -> None:
    if sum(name == b"host" for name, _ in head.headers) != 1:  # an empty one is what docker 20.10 sends before a stream
        raise MalformedRequest("no host, or two")
    names = {name for name, _ in head.headers}
    length, coding = head.value(b"content-length"), head.value(b"transfer-encoding")
    if {b"content-length", b"transfer-encoding"} <= names:
        raise MalformedRequest("both content-length and transfer-encoding")
    if b"content-length" in names and not _LENGTH.fullmatch(length):
        raise MalformedRequest("content-length is no number")
    if b"transfer-encoding" in names and coding != b"chunked":
        raise MalformedRequest("transfer-encoding is not chunked")
