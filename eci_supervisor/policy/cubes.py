"""Sets of register values as cubes: what an argument rule of a seccomp profile covers, and what is left over.

A cube is (mask, value) over the six registers, 64 bits each, side by side in one number: all x with x & mask == value. That is what one
libseccomp rule with SCMP_CMP_MASKED_EQ tests, so a complement that is made of disjoint cubes can be written as rules.
"""
from collections.abc import Iterable

WORD = (1 << 64) - 1
Cube = tuple[int, int]
EVERYTHING: Cube = (0, 0)


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


def at_register(index: int, cubes: list[Cube]) -> list[Cube]:
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


def _without(cube: Cube, hole: Cube) -> list[Cube]:
    """The part of `cube` outside `hole`, disjoint: for each bit that only the hole tests, what differs there and agrees before."""
    mask, value = cube
    hole_mask, hole_value = hole
    if (value ^ hole_value) & mask & hole_mask:
        return [cube]
    rest = []
    open_bits = hole_mask & ~mask
    while open_bits:
        bit = open_bits & -open_bits
        rest.append((mask | bit, value | (bit & ~hole_value)))
        mask, value, open_bits = mask | bit, value | (bit & hole_value), open_bits ^ bit
    return rest


def complement(cubes: Iterable[Cube], limit: int) -> list[Cube]:
    """Disjoint cubes that cover what `cubes` do not. Raises TooManyCubesError beyond `limit`."""
    rest = [EVERYTHING]
    for hole in cubes:
        rest = [part for cube in rest for part in _without(cube, hole)]
        if len(rest) > limit:
            raise TooManyCubesError(f"more than {limit} rules")
    return rest
