"""What of mount(2) the serving threads of a container do by themselves (native/usual.c), by its admin's rules. Pure."""
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.listed import Identity, Listed
from eci_supervisor.policy.chosen import wanted
from eci_supervisor.policy.rule import Only
from eci_supervisor.seccomp.handlers.types import denied

RULED: Final = frozenset({Only.MOUNT_TYPES, Only.MOUNT_SOURCES, Only.MOUNT_TARGETS})
MOST: Final = 64  # ECI_LISTED of native/eci.h


class Mounting(IntEnum):
    """enum eci_mounting."""

    NEW_PROC = 1
    NEW_TMPFS = 2
    BIND = 3
    BIND_ALL = 4


class As(IntEnum):
    """enum eci_listed_as."""

    SOURCE = 1
    ABOVE_SOURCE = 2
    TARGET = 4


@dataclass(frozen=True, slots=True)
class Usual:
    """struct eci_mounts. judged: of enum eci_listed_as, the rules there are; listed: each with bits of that."""

    may: frozenset[Mounting]
    judged: int
    listed: tuple[tuple[Identity, int], ...]


NOTHING: Final = Usual(frozenset(), 0, ())


@cache
def may(calls: CallRules) -> frozenset[Mounting]:
    """The usual mounts that no rule leaves to Python.

    Where there is one for sources, a copy of all below one wants to be looked through. Where there is none at all, a new tmpfs is the
    kernel's to make, and nobody is asked.
    """
    there = wanted(calls)
    unless = {
        Mounting.NEW_PROC: denied(calls.mount_types, b"proc"),
        Mounting.NEW_TMPFS: denied(calls.mount_types, b"tmpfs") or there.isdisjoint(RULED),
        Mounting.BIND: False,
        Mounting.BIND_ALL: Only.MOUNT_SOURCES in there,
    }
    return frozenset(mounting for mounting, left in unless.items() if not left)


@cache
def usual(calls: CallRules, listed: Listed) -> Usual:
    """For these rules; NOTHING where more is listed than there is room for."""
    found: dict[Identity, int] = {}
    for what, identities in ((As.SOURCE, listed.sources), (As.ABOVE_SOURCE, listed.above), (As.TARGET, listed.targets)):
        for identity in identities:
            found[identity] = found.get(identity, 0) | what
    if len(found) > MOST:
        return NOTHING
    there = wanted(calls)
    judged = As.SOURCE * (Only.MOUNT_SOURCES in there) | As.TARGET * (Only.MOUNT_TARGETS in there)
    return Usual(may(calls), judged, tuple(sorted(found.items())))
