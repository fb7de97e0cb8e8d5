"""What an admin's rules for sources and targets of mounts mean in one container: files of the host, by identity."""
from collections.abc import Sequence
from dataclasses import dataclass

Identity = tuple[int, int]  # st_dev, st_ino
Device = tuple[int, int]  # major and minor, as mountinfo has them


@dataclass(frozen=True, slots=True)
class Listed:
    """sources: not to be bound, nor what is below them; above: directories of the host that show one somewhere below; targets: not to be
    mounted on; devices: the file systems that sources are on; mounts: how many of the container's volumes are sources.

    A volume that is a part of a listed directory, or has one in it, is among the sources itself: inside, nothing is above the root of
    its mount.
    """

    sources: frozenset[Identity] = frozenset()
    above: frozenset[Identity] = frozenset()
    targets: frozenset[Identity] = frozenset()
    devices: frozenset[Device] = frozenset()
    mounts: int = 0


NOTHING_LISTED = Listed()


def is_source(chain: Sequence[Identity], listed: Listed) -> bool:
    """Whether a bind is forbidden of what is first in `chain`; the others are the directories above it, to the root of its mount."""
    return bool(chain) and (chain[0] in listed.above or not listed.sources.isdisjoint(chain))


def is_target(chain: Sequence[Identity], listed: Listed) -> bool:
    """The same for a mount onto it."""
    return not listed.targets.isdisjoint(chain)
