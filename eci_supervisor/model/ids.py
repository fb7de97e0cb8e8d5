"""Ranges of host ids."""
from dataclasses import dataclass

RANGE_SIZE = 65536


@dataclass(frozen=True, slots=True)
class IdRange:
    """Host ids start … start + count - 1, to which a container's ids 0 … count - 1 are mapped."""

    start: int
    count: int = RANGE_SIZE

    @property
    def end(self) -> int:
        """The first host id behind the range."""
        return self.start + self.count

    def overlaps(self, other: "IdRange") -> bool:
        return self.start < other.end and other.start < self.end
