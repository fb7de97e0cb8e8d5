"""Where a host file is, whatever path it was reached by: its identity, and its place in its own file system. Pure.

A bind of a directory keeps the place of what is below it: mountinfo's root plus the rest of the path. Walking `..` from it would not
reach its parent; so "below" and "contains" are questions about places, and about the ancestors that a list's entry was reached through.
"""
from collections.abc import Iterable
from dataclasses import dataclass

from eci_supervisor.mounts.mountinfo import MountEntry


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a superblock. device: major and minor as mountinfo has them; path: absolute, without a trailing slash but for the root."""

    device: tuple[int, int]
    path: bytes

    def holds(self, other: "Place") -> bool:
        """Whether `other` is it, or below it."""
        return self.device == other.device and (other.path == self.path or other.path.startswith(self.path.rstrip(b"/") + b"/"))


@dataclass(frozen=True, slots=True)
class Located:
    """An opened file. identity: (st_dev, st_ino); path: where the host sees it."""

    path: str
    identity: tuple[int, int]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A list's entry. itself: None where it is not there; above: the directories it is reached through, across mounts, the root last.

    One that is not there is still contained in those above it: a container could make it.
    """

    written: str
    itself: Located | None
    above: tuple[Located, ...]


def place_of(path: bytes, line: MountEntry) -> Place:
    """Of a path on the mount `line`."""
    rest = path[len(line.path.rstrip(b"/")):].strip(b"/")
    return Place((line.major, line.minor), b"/" + b"/".join(part for part in (line.root.strip(b"/"), rest) if part))


def inside(source: Located, above: Iterable[Located], entries: Iterable[Entry]) -> Entry | None:
    """The entry that a source is, or is placed below, by whatever way; `above`: the directories that the source was reached through."""
    reached = {source.identity, *(one.identity for one in above)}
    for entry in entries:
        if entry.itself is not None and (entry.itself.identity in reached or entry.itself.place.holds(source.place)):
            return entry
    return None


def contained(source: Located, carried: Iterable[Place], entries: Iterable[Entry]) -> Entry | None:
    """The first entry that would be seen in a source; `carried`: the places of the mounts that come along below it."""
    carried = tuple(carried)
    for entry in entries:
        own = () if entry.itself is None else (entry.itself,)
        if any(one.identity == source.identity or source.place.holds(one.place) for one in (*own, *entry.above)):
            return entry
        if any(place.holds(one.place) or one.place.holds(place) for place in carried for one in own):
            return entry
    return None
