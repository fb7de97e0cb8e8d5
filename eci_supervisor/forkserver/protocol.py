"""What is said on DIR/fork.sock: SOCK_SEQPACKET, one request a connection, one answer, fields separated by NUL. Pure.

| request                      | with            | answers                                        |
|------------------------------|-----------------|------------------------------------------------|
| spawn, VERSION, KEY          |                 | listening, then ready, PID; error, SENTENCE; EOF: it died |
| reclaim, VERSION, ROOT, ID   |                 | ok or error, SENTENCE                          |
| deleted, VERSION, REAL, CODE |                 | the same: for what argv of who asks says       |
| watch, VERSION, KEY          | 2 fds           | ok or error, SENTENCE                          |
| ping, VERSION                |                 | ok, PID of the server                          |
| call, VERSION, REAL, FRONT   | its fds 0 to 2  | run or become, NUMBERS, WORD…, with fds; exit, CODE; error, SENTENCE; EOF: it died |
| ended, CODE: eci-runc's answer to run | |                                                 |

Where the versions differ every request but ping is answered by version, THEIRS. The answer to spawn comes from the supervisor
itself, those to call from a creator: native/call.c tells what they mean. Only ProtocolError leaves the parsers.
"""
import re
from dataclasses import dataclass
from typing import TypeAlias

from eci_supervisor import VERSION

MAX_PACKET_BYTES = 8192  # PATH_MAX twice: a --root and an id fit
MAX_SENTENCE_BYTES = 4096
WATCH_FDS = 2
CALL_FDS = 3  # the most that come with a request
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
class Deleted:
    """The real runtime's delete has ended with `code`, as a child of who asks: said by native/front.c alone."""

    real: str
    code: int
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
class Call:
    """create, run or exec. Comes with three fds: standard input, output and error."""

    real: str
    front: str
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Listening:
    """The sockets of a supervisor for a new container are there."""


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


@dataclass(frozen=True, slots=True)
class Start:
    """The real runtime is to be started. `how`: run or become; comes with an fd for each of `numbers`; no words: those of the call."""

    how: str
    numbers: tuple[int, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Over:
    code: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The real runtime has; said by eci-runc."""

    code: int


Request: TypeAlias = Spawn | Reclaim | Watch | Ping | Call
Answer: TypeAlias = Listening | Ready | Failed | Done | OtherVersion | Start | Over | Ended


def parse_request(packet: bytes) -> Request | Deleted:
    """Raises ProtocolError."""
    match _fields(packet):
        case ["spawn", version, key] if KEY.fullmatch(key):
            return Spawn(key, version)
        case ["reclaim", version, root, container_id] if container_id:
            return Reclaim(root, container_id, version)
        case ["deleted", version, real, code] if real.startswith("/"):
            return Deleted(real, _number(code), version)
        case ["watch", version, key] if KEY.fullmatch(key):
            return Watch(key, version)
        case ["ping", version]:
            return Ping(version)
        case ["call", version, real, front] if real.startswith("/") and front.startswith("/"):
            return Call(real, front, version)
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
        case Call(real, front, version):
            return _packet("call", version, real, front)


def parse_answer(packet: bytes) -> Answer:
    """Raises ProtocolError."""
    match _fields(packet):
        case ["listening"]:
            return Listening()
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
        case ["ended", code]:
            return Ended(_number(code))
        case _:
            raise ProtocolError(f"no answer of this protocol: {packet[:80]!r}")


def pack_answer(answer: Answer) -> bytes:
    match answer:
        case Listening():
            return _packet("listening")
        case Ready(pid):
            return _packet("ready", str(pid))
        case Done(pid):
            return _packet("ok", str(pid)) if pid else _packet("ok")
        case Failed(sentence):
            return _packet("error", one_line(sentence))
        case OtherVersion(version):
            return _packet("version", version)
        case Start(how, numbers, words):
            return _packet(how, " ".join(map(str, numbers)), *words)
        case Over(code):
            return _packet("exit", str(code))
        case Ended(code):
            return _packet("ended", str(code))


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
