"""What native/policy.c decides, said once more in Python: the two must agree."""
from collections.abc import Mapping, Sequence

from eci_supervisor.policy.rows import Row
from eci_supervisor.policy.rule import Kind


def tested(kind: Kind, value: int) -> int:
    match kind:
        case Kind.INT:
            return value & 0xFFFFFFFF
        case Kind.MOUNT_FLAGS:
            return value & 0xFFFF if value >> 16 & 0xFFFF == 0xC0ED else value
        case Kind.WORD:
            return value


def first_fit(rows: Sequence[Row], arch: int, nr: int, args: Sequence[int], texts: Mapping[int, bytes]) -> Row | None:
    """The first row that fits; `texts` holds the strings that can be read."""
    for row in rows:
        fits = (row.arch, row.nr) == (arch, nr) and tested(row.kind, args[row.arg]) & row.mask == row.value
        if fits and (row.text < 0 or texts.get(row.text) in row.names):
            return row
    return None
