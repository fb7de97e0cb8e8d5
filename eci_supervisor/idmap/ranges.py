"""The pool: which host ids containers may be given, from the texts of /etc/subuid and /etc/subgid. Pure.

| line `eci` in both files | the pool                                                         |
|--------------------------|------------------------------------------------------------------|
| no                       | 100000 and 4095 ranges of 65536 behind it                        |
| yes                      | what both files give it, cut into ranges of 65536                |

In either case less every range that overlaps another line of one of the files (useradd gives 100000 to the first user), or the ids that
hosts give to their own users: a line `eci:0:65536` must not make container root host root.
"""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from eci_supervisor.model.ids import RANGE_SIZE, IdRange

OWNER = "eci"
DEFAULT = IdRange(100_000, 4096 * RANGE_SIZE)
HOST_USERS = IdRange(0, 65536)
_ID_LIMIT = 0xFFFFFFFF  # (uid_t)-1 is no id


@dataclass(frozen=True, slots=True)
class Pool:
    """What ranges are cut from: disjoint areas, first first, and the ids in them that belong to others; `from_file`: by a line `eci`."""

    areas: tuple[IdRange, ...]
    taken: tuple[IdRange, ...]
    from_file: bool

    def ranges(self) -> Iterator[IdRange]:
        """Every range of the pool, first first."""
        for area in self.areas:
            excluded = set[int]()
            for other in self.taken:
                if other.overlaps(area):
                    low, high = max(other.start, area.start), min(other.end, area.end)
                    excluded.update(range((low - area.start) // RANGE_SIZE, (high - 1 - area.start) // RANGE_SIZE + 1))
            for index in range(area.count // RANGE_SIZE):
                if index not in excluded:
                    yield IdRange(area.start + index * RANGE_SIZE)

    def __str__(self) -> str:
        return ", ".join(f"{area.start}-{area.end - 1}" for area in self.areas) or "nothing"


def pool(subuid: str, subgid: str) -> Pool:
    """The pool that the two files leave us."""
    uids, gids = tuple(lines(subuid)), tuple(lines(subgid))
    others = (HOST_USERS, *(ids for owner, ids in uids + gids if owner != OWNER))
    if not any(owner == OWNER for owner, _ in uids + gids):
        return Pool((DEFAULT,), others, from_file=False)
    areas = tuple(common([ids for owner, ids in uids if owner == OWNER], [ids for owner, ids in gids if owner == OWNER]))
    return Pool(areas, others, from_file=True)


def lines(text: str) -> Iterator[tuple[str, IdRange]]:
    """Owner and range of each line `owner:start:count`. Any other line is skipped, as the shadow tools do; ids end below 2^32 - 1."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and all(field.isascii() and field.isdecimal() for field in fields[1:]):
            start = int(fields[1])
            count = min(int(fields[2]), _ID_LIMIT - start)
            if count > 0:
                yield fields[0], IdRange(start, count)


def common(left: list[IdRange], right: list[IdRange]) -> list[IdRange]:
    """The ids that are in both lists, as disjoint ranges, first first."""
    found: list[IdRange] = []
    for one in merged(left):
        for other in merged(right):
            low, high = max(one.start, other.start), min(one.end, other.end)
            if low < high:
                found.append(IdRange(low, high - low))
    return found


def merged(ranges: list[IdRange]) -> list[IdRange]:
    """The same ids as disjoint ranges that do not touch, first first."""
    result: list[IdRange] = []
    for one in sorted(ranges, key=lambda ids: ids.start):
        if result and one.start <= result[-1].end:
            result[-1] = IdRange(result[-1].start, max(result[-1].end, one.end) - result[-1].start)
        else:
            result.append(one)
    return result


def first_free(source: Pool, leased: Iterable[IdRange]) -> IdRange | None:
    """The first range of the pool that overlaps no leased one, whatever pool that was leased from; None if there is none."""
    return next(replace(source, taken=(*source.taken, *leased)).ranges(), None)
