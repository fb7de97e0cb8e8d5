"""Id maps of user namespaces, as values. Pure."""
from dataclasses import dataclass
from typing import NamedTuple

from eci_supervisor.model.ids import IdRange


class Extent(NamedTuple):
    """One line of uid_map or gid_map. For an idmapped mount: `inside` is the id on disk, `outside` the id it is shown as."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class IdMaps:
    uids: tuple[Extent, ...]
    gids: tuple[Extent, ...]


def shifted(ids: IdRange) -> IdMaps:
    """The maps of a container's own user namespace: 0 and up to the leased range."""
    extents = (Extent(0, ids.start, ids.count),)
    return IdMaps(extents, extents)
