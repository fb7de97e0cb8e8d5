"""What a route of the Engine API is, and what a path may look like where a route has a name in it."""
import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

OLDEST_MINOR = 24
NEWEST_MINOR = 56

# The engine's own patterns are greedy; these are narrower, so that no path fits two rows.
_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_REFERENCE = r"[A-Za-z0-9][A-Za-z0-9_.:@/-]*"
_ANYTHING = r".*"
_PLACES = {"{id}": _SEGMENT, "{name}": _SEGMENT, "{checkpoint}": _SEGMENT, "{name*}": _REFERENCE, "{any*}": _ANYTHING}
_PLACE = re.compile(r"\{[a-z]+\*?\}")


class Body(Enum):
    """What a request of the route carries: JSON is judged, the others pass unread."""

    NONE = "none"
    JSON = "json"
    TAR = "tar"
    STREAM = "stream"


class Class(Enum):
    """What a route does. Each of a row's letters is a rule (the relay's decision), before any list."""

    BASE = "B"
    NEVER = "N"
    ELSEWHERE = "H"  # runs code outside of this runtime
    ADMIN = "A"
    READS = "R"
    WRITES = "W"
    RUNS = "X"
    STREAMS = "S"
    SHOWS = "L"  # content or secrets


@dataclass(frozen=True)
class Route:
    """One row of the Engine API.

    `path` has its places in braces; `letters` are values of Class; `commands` (names as of `docker --help`, comma-separated) are the
    commands that cannot work without the row, `needed_by` those that ask for it besides; `query` is the key whose presence selects the
    row; `since` and `until` are minor numbers of API 1.x; a `hijack` row may turn its connection into a raw stream.
    """

    method: str
    path: str
    letters: str
    commands: str = ""
    needed_by: str = ""
    query: str = ""
    since: int = OLDEST_MINOR
    until: int = NEWEST_MINOR
    hijack: bool = False
    body: Body = Body.NONE

    @cached_property
    def classes(self) -> frozenset[Class]:
        return frozenset(Class(letter) for letter in self.letters)

    @cached_property
    def blocked_by(self) -> frozenset[str]:
        """Commands whose denial closes the row."""
        return _names(self.commands)

    @cached_property
    def opened_by(self) -> frozenset[str]:
        """Commands whose permission opens the row."""
        return self.blocked_by | _names(self.needed_by)

    @cached_property
    def upgrades(self) -> frozenset[bytes]:
        """Protocols that its connection may change to. Over HTTP/2 many requests come on one: only where one row allows all of them."""
        if not self.hijack:
            return frozenset()
        return frozenset({b"tcp", b"websocket"} | ({b"h2c"} if Class.ELSEWHERE in self.classes else set()))

    @property
    def literal(self) -> bool:
        return "{" not in self.path

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(f"({_PLACE.pattern})", self.path)
        return re.compile("".join(f"({_PLACES[part]})" if part in _PLACES else re.escape(part) for part in parts))

    def place(self, path: str) -> str | None:
        """What stands in the first place of `path` ("" for a literal row); None if the path is not this row's."""
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        return found[1] if found.groups() else ""


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(", ")))
