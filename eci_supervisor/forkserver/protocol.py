"""What is said on DIR/fork.sock: SOCK_SEQPACKET, one request a connection, one answer, fields separated by NUL. Pure.

| request                      | with            | answers                                        |
|------------------------------|-----------------|------------------------------------------------|
| spawn, VERSION, KEY          |                 | ready, PID or error, SENTENCE; EOF: it died    |
| reclaim, VERSION, ROOT, ID   |                 | ok or error, SENTENCE                          |
| watch, VERSION, KEY          | 2 fds           | ok or error, SENTENCE                          |
| ping, VERSION                |                 | ok, PID of the server                          |

Where the versions differ every request but ping is answered by version, THEIRS. The answer to spawn comes from the supervisor
itself. Only ProtocolError leaves the parsers.
"""
import re
from dataclasses import dataclass
from typing import TypeAlias

from eci_supervisor import VERSION

MAX_PACKET_BYTES = 8192  # PATH_MAX twice: a --root and an id fit
MAX_SENTENCE_BYTES = 4096
WATCH_FDS = 2
KEY = re.compile(r"[0-9a-f]{20}")


class ProtocolError(ValueError):
    """The packet is none of the table above."""


@dataclass(frozen=True, slots=True)
class Spawn:
    key: str
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Reclaim:
    root: str
    id: str
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Watch:
    """Comes with two fds: the root of the engine's overlay, and the root of ours."""

    key: str
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Ping:
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Ready:
    pid: int


@dataclass(frozen=True, slots=True)
class Failed:
    sentence: str


@dataclass(frozen=True, slots=True)
class Done:
    pid: int = 0


@dataclass(frozen=True, slots=True)
class OtherVersion:
    version: str


Request: TypeAlias = Spawn | Reclaim | Watch | Ping
Answer: TypeAlias = Ready | Failed | Done | OtherVersion


def parse_request(packet: bytes) -> Request:
    """Raises ProtocolError."""
    match _fields(packet):
        case ["spawn", version, key] if KEY.fullmatch(key):
            return Spawn(key, version)
        case ["reclaim", version, root, container_id] if container_id:
            return Reclaim(root, container_id, version)
        case ["watch", version, key] if KEY.fullmatch(key):
            return Watch(key, version)
        case ["ping", version]:
            return Ping(version)
        case _:
            raise ProtocolError(f"no request of this protocol: {packet[:80]!r}")


def pack_request(request: Request) -> bytes:
    match request:
        case Spawn(key, version):
            return _packet("spawn", version, key)
        case Reclaim(root, container_id, version):
            return _packet("reclaim", version, root, container_id)
        case Watch(key, version):
            return _packet("watch", version, key)
        case Ping(version):
            return _packet("ping", version)


def parse_answer(packet: bytes) -> Answer:
    """Raises ProtocolError."""
    match _fields(packet):
        case ["ready", pid]:
            return Ready(_number(pid))
        case ["ok"]:
            return Done()
        case ["ok", pid]:
            return Done(_number(pid))
        case ["error", sentence]:
            return Failed(sentence)
        case ["version", version]:
            return OtherVersion(version)
        case _:
            raise ProtocolError(f"no answer of this protocol: {packet[:80]!r}")


def pack_answer(answer: Answer) -> bytes:
    match answer:
        case Ready(pid):
            return _packet("ready", str(pid))
        case Done(pid):
            return _packet("ok", str(pid)) if pid else _packet("ok")
        case Failed(sentence):
            return _packet("error", one_line(sentence))
        case OtherVersion(version):
            return _packet("version", version)


def one_line(text: str) -> str:
    """`text` as a sentence that fits a packet, a log line and a terminal: no control characters, cut at the end."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.encode("utf-8", "replace")[:MAX_SENTENCE_BYTES].decode("utf-8", "ignore")


def _fields(packet: bytes) -> list[str]:
    if len(packet) > MAX_PACKET_BYTES:
        raise ProtocolError(f"a packet of {len(packet)} bytes, {MAX_PACKET_BYTES} at most")
    return packet.decode("utf-8", "surrogateescape").split("\0")


def _packet(*fields: str) -> bytes:
    if any("\0" in field for field in fields):
        raise ProtocolError("a field holds a NUL")
    return "\0".join(fields).encode("utf-8", "surrogateescape")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise ProtocolError(f"no process id: {text[:20]!r}")
    return int(text)
