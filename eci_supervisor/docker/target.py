"""A request's target, read in the one way that every server reads it; whatever could be read in two ways is malformed. No I/O.

The engine takes far more (encoded slashes, `..`, versions such as v1.041, a key twice); none of its clients sends that.
"""
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urlencode

from eci_supervisor.docker.route import NEWEST_MINOR, OLDEST_MINOR

MAX_TARGET_BYTES = 16384
# Keys of which the engine takes every value; of any other it takes the first.
REPEATED = frozenset({"names", "t", "changes", "platform", "platforms"})

_PRINTABLE = re.compile(rb"/[\x21-\x7e]*")
_VERSION = re.compile(rb"/v1\.(0|[1-9][0-9]{0,5})(?=/)")
_VERSION_LIKE = re.compile(rb"/v[0-9]")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PATH = re.compile(r"(/[A-Za-z0-9_.:@~+=,-]+)+")


class MalformedRequest(ValueError):
    """What is wrong with the request, for `malformed request: <what>`."""


class UnsupportedVersion(ValueError):
    """The engine's own words for a client that is too old or too new."""


@dataclass(frozen=True, slots=True)
class Target:
    """`minor` of API 1.x, None if the client names no version; `path` decoded, without it; `query` decoded, in the client's order."""

    path: str
    minor: int | None = None
    query: tuple[tuple[str, str], ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(key for key, _ in self.query)

    def value(self, key: str) -> str:
        """The value of a key that stands once; "" if it is not there."""
        return next((value for name, value in self.query if name == key), "")

    def to_bytes(self, newest: int) -> bytes:
        """The target as the relay writes it. `newest`: what stands for no version."""
        minor = newest if self.minor is None else self.minor
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"/v1.{minor}{quote(self.path, safe='/:@~+=,')}{query}".encode("ascii")


def parse(raw: bytes) -> Target:
    """Reads a request target of origin form. Raises MalformedRequest, UnsupportedVersion."""
    if len(raw) > MAX_TARGET_BYTES:
        raise MalformedRequest(f"the target is longer than {MAX_TARGET_BYTES} bytes")
    if not _PRINTABLE.fullmatch(raw) or b"#" in raw:
        raise MalformedRequest("the target is no path of printable characters")
    raw_path, _, raw_query = raw.partition(b"?")
    minor, raw_path = _version(raw_path)
    return Target(_path(raw_path), minor, _query(raw_query))


def _version(raw: bytes) -> tuple[int | None, bytes]:
    found = _VERSION.match(raw)
    if found is None:
        if _VERSION_LIKE.match(_decoded(raw)):
            raise MalformedRequest("the version is not /v1.<n>/")
        return None, raw
    minor = int(found[1])
    if minor < OLDEST_MINOR:
        raise UnsupportedVersion(f"client version 1.{minor} is too old. Minimum supported API version is 1.{OLDEST_MINOR}, "
                                 "please upgrade your client to a newer version")  # fmt: skip
    if minor > NEWEST_MINOR:
        raise UnsupportedVersion(f"client version 1.{minor} is too new. Maximum supported API version is 1.{NEWEST_MINOR}")
    return minor, raw[found.end() :]


def _path(raw: bytes) -> str:
    decoded = _decoded(raw)
    try:
        path = decoded.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedRequest("the path is not ASCII") from None
    if b"%2f" in raw.lower():
        raise MalformedRequest("the path has an escaped slash")
    if not _PATH.fullmatch(path) or _VERSION_LIKE.match(decoded):
        raise MalformedRequest("the path has an empty segment, or a character that no endpoint has")
    if {".", ".."} & set(path.split("/")):
        raise MalformedRequest("the path has a segment . or ..")
    return path


def _query(raw: bytes) -> tuple[tuple[str, str], ...]:
    if not raw:
        return ()
    if b";" in raw:
        raise MalformedRequest("the query has a ;")  # old engines take it for an &
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for part in raw.split(b"&"):
        name, _, value = part.partition(b"=")
        key = _text(name)
        if not key:
            raise MalformedRequest("the query has an empty key")
        if key in seen and key not in REPEATED:
            raise MalformedRequest("the query has a key twice")
        seen.add(key)
        pairs.append((key, _text(value)))
    return tuple(pairs)


def _text(raw: bytes) -> str:
    try:
        text = _decoded(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise MalformedRequest("the query is not UTF-8") from None
    if "\0" in text:
        raise MalformedRequest("the query has a NUL")
    return text


def _decoded(raw: bytes) -> bytes:
    if _ESCAPE.search(raw):
        raise MalformedRequest("a % that is no escape")
    return unquote_to_bytes(raw)
