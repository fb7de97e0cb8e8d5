"""Sets of register values as cubes: what an argument rule of a seccomp profile covers, and what is left over.

A cube is (mask, value) over the six registers, 64 bits each, side by side in one number: all x with x & mask == value. That is what one
libseccomp rule with SCMP_CMP_MASKED_EQ tests, so a complement that is made of disjoint cubes can be written as rules.
"""
from collections.abc import Iterable

WORD = (1 << 64) - 1
Cube = tuple[int, int]
EVERYTHING: Cube = (0, 0)
Condition = tuple[int, str, int, int]  # index, op, value and valueTwo of an OCI argument rule
INVERSE = {
    "SCMP_CMP_EQ": "SCMP_CMP_NE", "SCMP_CMP_NE": "SCMP_CMP_EQ", "SCMP_CMP_LT": "SCMP_CMP_GE",
    "SCMP_CMP_GE": "SCMP_CMP_LT", "SCMP_CMP_GT": "SCMP_CMP_LE", "SCMP_CMP_LE": "SCMP_CMP_GT",
}


class TooManyCubesError(ValueError):
    """The set cannot be written in a bounded number of rules."""


def _below(limit: int) -> list[Cube]:
    """One register's values < limit: one cube for each bit set in limit, equal above it and 0 there."""
    return [
        (WORD ^ ((1 << bit) - 1), (limit >> bit ^ 1) << bit)
        for bit in range(64) if limit >> bit & 1
    ]


def _inverted(cubes: list[Cube]) -> list[Cube]:
    """With x for WORD ^ x: turns `below` into `above`."""
    return [(mask, mask & (WORD ^ value)) for mask, value in cubes]


def of_comparison(op: str, value: int, second: int) -> list[Cube]:
    """One register's values that satisfy an OCI comparison, as disjoint cubes; `second` is valueTwo. Raises KeyError for an unknown op."""
    below, above = _below(value), _inverted(_below(WORD ^ value))
    equal = [(WORD, value)]
    # With MASKED_EQ, `value` is the mask. A value outside the mask is never equal, as in libseccomp.
    masked = [(value, second)] if second & ~value == 0 else []
    return {
        "SCMP_CMP_EQ": equal, "SCMP_CMP_NE": below + above, "SCMP_CMP_LT": below, "SCMP_CMP_LE": below + equal,
        "SCMP_CMP_GT": above, "SCMP_CMP_GE": above + equal, "SCMP_CMP_MASKED_EQ": masked,
    }[op]


def of_register(index: int, mask: int, value: int) -> Cube:
    """All values with one register masked."""
    return mask << 64 * index, value << 64 * index


def _at_register(index: int, cubes: list[Cube]) -> list[Cube]:
    """One register's cubes as cubes of all six."""
    return [(mask << 64 * index, value << 64 * index) for mask, value in cubes]


def both(left: list[Cube], right: list[Cube], limit: int) -> list[Cube]:
    """The intersection. Raises TooManyCubesError where it could be more than `limit`."""
    if len(left) * len(right) > limit:
        raise TooManyCubesError(f"more than {limit} rules")
    return [
        (mask | other, value | wanted)
        for mask, value in left for other, wanted in right
        if (value ^ wanted) & mask & other == 0
    ]


def _outside(cube: Cube) -> list[Cube]:
    """What a cube leaves out: for each bit it tests, what differs there and agrees in the bits before.

    From the highest on: libseccomp tests a register's upper word first, and refuses (EEXIST) rules that it cannot put into that order.
    """
    mask, value = cube
    rest, before = [], 0
    for bit in (1 << number for number in range(mask.bit_length() - 1, -1, -1) if mask >> number & 1):
        rest.append((before | bit, value & before | bit & ~value))
        before |= bit
    return rest


def without(cubes: list[Cube], cube: Cube) -> list[Cube]:
    """The values of disjoint cubes that are not in `cube`."""
    mask, value = cube
    rest = []
    for before, held in cubes:
        if (held ^ value) & before & mask:
            rest.append((before, held))
        else:
            rest += [(before | more, held | wanted) for more, wanted in _outside((mask & ~before, value & ~before))]
    return rest


def _failing(op: str, value: int, second: int) -> list[Cube]:
    """One register's values that do not satisfy the comparison."""
    if op in INVERSE:
        return of_comparison(INVERSE[op], value, second)
    return [rest for cube in of_comparison(op, value, second) for rest in _outside(cube)] if second & ~value == 0 else [EVERYTHING]


def matched(conditions: Iterable[Condition], limit: int) -> list[Cube]:
    """The values for which the conditions hold together, disjoint. Raises TooManyCubesError beyond `limit`."""
    found = [EVERYTHING]
    for index, op, value, second in conditions:
        found = both(found, _at_register(index, of_comparison(op, value, second)), limit)
    return found


def unmatched(conditions: Iterable[Condition], limit: int) -> list[Cube]:
    """The values for which the conditions do not hold together, disjoint. Raises TooManyCubesError beyond `limit`."""
    rest: list[Cube] = []
    so_far = [EVERYTHING]
    for index, op, value, second in conditions:
        rest += both(so_far, _at_register(index, _failing(op, value, second)), limit)
        so_far = both(so_far, _at_register(index, of_comparison(op, value, second)), limit)
    return rest
