"""Which digests are good for a tag, as registries said it over time. Pure.

`refresh`: ask again after; `superseded`: how long a digest stays good after the tag was seen to mean another; `offline`: how long the last
answer is good while the registry is out of reach. Times are seconds since 1970, for they outlive a boot; one in the future is none.
"""
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from eci_supervisor.model.settings import Digests

MOST_TAGS: Final = 2000
MOST_DIGESTS: Final = 16  # of one tag


@dataclass(frozen=True, slots=True)
class Seen:
    """A digest that a tag meant, from `first` to `last`."""

    digest: str
    first: float
    last: float


Memory = dict[str, tuple[Seen, ...]]  # by `registry/path:tag`, the latest digest last


def fresh(seen: tuple[Seen, ...], rules: Digests, now: float) -> bool:
    """Whether the last answer is young enough not to ask again."""
    return bool(seen) and 0 <= now - seen[-1].last < rules.refresh_s


def usable(seen: tuple[Seen, ...], rules: Digests, now: float) -> bool:
    """Whether the last answer will do while nobody answers."""
    return bool(seen) and 0 <= now - seen[-1].last < rules.offline_s


def good(seen: tuple[Seen, ...], rules: Digests, now: float) -> frozenset[str]:
    """The latest digest, and those that were superseded not long ago."""
    found = {seen[-1].digest} if seen else set()
    for old, newer in itertools.pairwise(seen):
        if now - newer.first < rules.superseded_s:
            found.add(old.digest)
    return frozenset(found)


def learnt(seen: tuple[Seen, ...], digest: str, now: float) -> tuple[Seen, ...]:
    """With one more answer."""
    if seen and seen[-1].digest == digest:
        return (*seen[:-1], replace(seen[-1], last=now))
    others = tuple(one for one in seen if one.digest != digest)
    return (*others, Seen(digest, now, now))[-MOST_DIGESTS:]


def to_bytes(memory: Memory) -> bytes:
    kept = sorted(memory.items(), key=lambda item: item[1][-1].last if item[1] else 0.0)[-MOST_TAGS:]
    return json.dumps({"v": 1, "tags": {key: [asdict(one) for one in seen] for key, seen in kept}}, indent=1).encode() + b"\n"


def from_bytes(text: bytes) -> Memory:
    """What cannot be read is forgotten: registries are asked again."""
    try:
        tags = json.loads(text)["tags"]
        return {str(key): _seen(seen) for key, seen in tags.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _seen(raw: Iterable[dict[str, float]]) -> tuple[Seen, ...]:
    return tuple(Seen(str(one["digest"]), float(one["first"]), float(one["last"])) for one in raw)
