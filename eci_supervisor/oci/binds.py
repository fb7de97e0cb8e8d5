"""What is decided about a bind mount before anything is done: whose ids it shows, and with which flags. Pure.

| source                                          | container root is | the container's other ids                  |
|-------------------------------------------------|-------------------|--------------------------------------------|
| no other host user reaches it, or it is listed  | disk id 0         | the same numbers on disk     (IDENTITY)    |
| its owner is not host root                      | its owner         | their leased host ids on disk    (OWNER)   |
| it is host root's                               | nobody's          | their leased host ids on disk    (PLAIN)   |

With IDENTITY a set-uid file that container root makes is host root's: hence only where nobody on the host could run it.
"""
from dataclasses import dataclass
from enum import Enum, auto

from eci_supervisor.idmap.maps import Extent, IdMaps, shifted
from eci_supervisor.linux import mount_flags as flags
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.settings import BindRules


class Mapping(Enum):
    """Which ids a bind shows."""

    IDENTITY = auto()
    OWNER = auto()
    PLAIN = auto()


@dataclass(frozen=True, slots=True)
class Source:
    """What a bind is of. path: as the spec has it; private: below a directory that host root alone may pass."""

    path: str
    uid: int
    gid: int
    private: bool


def mapping(source: Source, rules: BindRules) -> Mapping:
    """The row of the table, or with `bindMounts.idmap` "identity" the first one for every source."""
    if source.private or source.path in rules.identity or not rules.owner:
        return Mapping.IDENTITY
    return Mapping.PLAIN if source.uid == 0 else Mapping.OWNER


def maps(chosen: Mapping, source: Source, ids: IdRange) -> IdMaps | None:
    """The maps of the idmapped mount; None for a plain one."""
    match chosen:
        case Mapping.IDENTITY:
            return shifted(ids)
        case Mapping.OWNER:
            # A group of 0 stays unmapped, as an owner of 0 does: a set-gid file for it would be host root's group's.
            return IdMaps(_owner(source.uid, ids), _owner(source.gid, ids))
        case Mapping.PLAIN:
            return None


def plain_warning(source: Source) -> str:
    return (
        f"volume {source.path} belongs to host root and other users of the host reach it: it is bound as it is, its files show as nobody. "
        'To let container root own it, add it to "bindMounts.identity".'
    )


def _owner(owner: int, ids: IdRange) -> tuple[Extent, ...]:
    """Disk id `owner` is the container's 0; its other ids are on disk what they are on the host."""
    if owner == 0 or owner == ids.start:
        return (Extent(ids.start, ids.start, ids.count),)
    rest = IdRange(ids.start + 1, ids.count - 1)
    if not rest.start <= owner < rest.end:
        return Extent(owner, ids.start, 1), Extent(rest.start, rest.start, rest.count)
    # The owner is one of the container's own ids: it changes places with the first one.
    pieces = (Extent(rest.start, rest.start, owner - rest.start), Extent(owner + 1, owner + 1, rest.end - owner - 1))
    swapped = (Extent(owner, ids.start, 1), Extent(ids.start, owner, 1))
    return swapped + tuple(piece for piece in pieces if piece.size)


@dataclass(frozen=True, slots=True)
class BindFlags:
    """What mount_setattr is given for a clone."""

    attr_set: int
    attr_clear: int
    propagation: int
    recursive: bool
    shared: bool

    @property
    def read_only(self) -> bool:
        return bool(self.attr_set & flags.MOUNT_ATTR_RDONLY)


_SET = {
    "ro": flags.MOUNT_ATTR_RDONLY, "rro": flags.MOUNT_ATTR_RDONLY,
    "nosuid": flags.MOUNT_ATTR_NOSUID, "rnosuid": flags.MOUNT_ATTR_NOSUID,
    "noexec": flags.MOUNT_ATTR_NOEXEC, "rnoexec": flags.MOUNT_ATTR_NOEXEC,
    "nosymfollow": flags.MOUNT_ATTR_NOSYMFOLLOW, "nodiratime": flags.MOUNT_ATTR_NODIRATIME,
}  # fmt: skip
_UNSET = {"rw": "ro", "suid": "nosuid", "exec": "noexec", "symfollow": "nosymfollow", "diratime": "nodiratime"}
_ATIME = {
    "noatime": flags.MOUNT_ATTR_NOATIME, "relatime": flags.MOUNT_ATTR_RELATIME, "strictatime": flags.MOUNT_ATTR_STRICTATIME,
}  # fmt: skip


def bind_flags(options: tuple[str, ...]) -> BindFlags:
    """The flags that a bind's options ask for. Of two that contradict each other the last counts, as with mount(8); nodev is always set.

    What the host's own mount has set stays set. Propagation is private unless a slave is asked for; shared ones become slaves.
    """
    wanted = flags.MOUNT_ATTR_NODEV
    clear, propagation, shared = 0, flags.MS_PRIVATE, False
    for option in options:
        if option in _SET:
            wanted |= _SET[option]
        elif option in _UNSET:
            wanted &= ~_SET[_UNSET[option]]
        elif option in _ATIME:
            clear = flags.MOUNT_ATTR_ATIME
            wanted = wanted & ~flags.MOUNT_ATTR_ATIME | _ATIME[option]
        elif option in ("slave", "rslave", "shared", "rshared"):
            propagation, shared = flags.MS_SLAVE, option.endswith("shared")
        elif option in ("private", "rprivate", "unbindable", "runbindable"):
            propagation, shared = flags.MS_PRIVATE, False
    return BindFlags(wanted, clear, propagation, "rbind" in options, shared)
