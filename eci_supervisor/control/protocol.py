"""What is said on a container's control.sock: JSON, one object a line, both ways. No I/O here, and ProtocolError alone leaves it.

| request                                             | answer                                                       |
|-----------------------------------------------------|--------------------------------------------------------------|
| {"v":1,"do":"attach","state":STATE}                 | {"v":1,"ok":true}; STATE is the runtime's, as a hook gets it |
| {"v":1,"do":"prove"}                                | the same                                                     |
| {"v":1,"do":"stop"}                                 | the same; the supervisor ends                                |
| {"v":1,"do":"inspect"}                              | {"v":1,"ok":true,"live":{…}}                                 |
| {"v":1,"do":"events","follow":false,"after":0}      | a line {"v":1,"seq":N,"event":{…}} each, then {"v":1,"ok":true} |
| anything else, or what fails                        | {"v":1,"ok":false,"error":SENTENCE}                          |
"""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

VERSION = 1
MAX_LINE_BYTES = 1 << 20  # Kubernetes allows 256 KiB of annotations, and the runtime's state repeats them


class ProtocolError(ValueError):
    """The line is none of the table above."""


@dataclass(frozen=True, slots=True)
class Attach:
    """The runtime's hook: the container's init is `pid`, in our pid namespace; `id` is the container's."""

    id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Prove:
    pass


@dataclass(frozen=True, slots=True)
class Stop:
    pass


@dataclass(frozen=True, slots=True)
class Inspect:
    pass


@dataclass(frozen=True, slots=True)
class Events:
    """Events with a number above `after`; `follow`: those to come as well."""

    follow: bool = False
    after: int = 0


Request: TypeAlias = Attach | Prove | Stop | Inspect | Events


class Lines:
    """Cuts a stream into lines, none longer than `limit` bytes."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """The lines that are complete now, without their newline. Raises ProtocolError when one is too long."""
        *complete, rest = received.split(b"\n")
        lines = []
        for part in complete:
            lines.append(bytes(self._held) + part)
            self._held.clear()
        self._held += rest
        if any(len(line) > self._limit for line in lines) or len(self._held) > self._limit:
            raise ProtocolError(f"a line of more than {self._limit} bytes")
        return lines


def parse_request(line: bytes) -> Request:
    """Raises ProtocolError."""
    match _object(line):
        case {"v": 1, "do": "attach", "state": {"id": str(container_id), "pid": int(pid)}} if pid is not True and 0 < pid < 1 << 31:
            return Attach(container_id, pid)
        case {"v": 1, "do": "prove"}:
            return Prove()
        case {"v": 1, "do": "stop"}:
            return Stop()
        case {"v": 1, "do": "inspect"}:
            return Inspect()
        case {"v": 1, "do": "events", **rest}:
            return _events(rest)
        case _:
            raise ProtocolError(f"no request of this protocol: {line[:80]!r}")


def pack_request(request: Request) -> bytes:
    match request:
        case Attach(container_id, pid):
            return _line({"do": "attach", "state": {"id": container_id, "pid": pid}})
        case Prove():
            return _line({"do": "prove"})
        case Stop():
            return _line({"do": "stop"})
        case Inspect():
            return _line({"do": "inspect"})
        case Events(follow, after):
            return _line({"do": "events", "follow": follow, "after": after})


def done(more: Mapping[str, object] | None = None) -> bytes:
    return _line({"ok": True, **(more or {})})


def failed(sentence: str) -> bytes:
    return _line({"ok": False, "error": sentence})


def event(seq: int, record: Mapping[str, object]) -> bytes:
    return _line({"seq": seq, "event": record})


def parse_answer(line: bytes) -> dict[str, object]:
    """One line of an answer, without "v". Raises ProtocolError, with the other side's sentence where it sent one."""
    match _object(line):
        case {"v": 1, "ok": False, "error": str(sentence)}:
            raise ProtocolError(sentence)
        case {"v": 1, "ok": True, **rest}:
            return {"ok": True, **rest}
        case {"v": 1, "seq": int(), "event": dict(), **_rest} as told:
            return told
        case _:
            raise ProtocolError(f"no answer of this protocol: {line[:80]!r}")


def _events(rest: dict[str, object]) -> Events:
    follow, after = rest.get("follow", False), rest.get("after", 0)
    if not isinstance(follow, bool) or not isinstance(after, int) or isinstance(after, bool) or after < 0:
        raise ProtocolError("events: `follow` is true or false, `after` a number")
    return Events(follow, after)


def _object(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"no JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"no JSON object: {line[:80]!r}")
    return value


def _line(content: Mapping[str, object]) -> bytes:
    return json.dumps({"v": VERSION, **content}, separators=(",", ":")).encode("ascii") + b"\n"
