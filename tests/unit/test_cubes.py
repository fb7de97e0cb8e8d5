"""Complements of argument rules, against the comparison itself."""
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.policy import cubes

WORD = (1 << 64) - 1
values = st.one_of(st.integers(0, 20), st.integers(0, WORD), st.sampled_from([0, WORD, 1 << 63, 1 << 31]))
PLAIN = {
    "SCMP_CMP_EQ": operator.eq, "SCMP_CMP_NE": operator.ne, "SCMP_CMP_LT": operator.lt,
    "SCMP_CMP_LE": operator.le, "SCMP_CMP_GT": operator.gt, "SCMP_CMP_GE": operator.ge,
}  # fmt: skip


def compared(op: str, x: int, a: int, b: int) -> bool:
    return bool(PLAIN[op](x, a)) if op in PLAIN else x & a == b


def holding(found: list[cubes.Cube], x: int) -> int:
    return sum(x & mask == value for mask, value in found)


@given(st.sampled_from([*PLAIN, "SCMP_CMP_MASKED_EQ"]), values, values, values)
def test_a_comparison_is_its_cubes_each_value_in_one(op: str, x: int, a: int, b: int) -> None:
    assert holding(cubes.of_comparison(op, a, b), x) == int(compared(op, x, a, b))


some_ops = st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_LT", "SCMP_CMP_GE"])
conditions = st.tuples(some_ops, st.integers(0, 9), st.integers(0, 9))


@given(st.lists(st.tuples(st.integers(0, 5), conditions), max_size=3), st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_unmatched_holds_where_the_conditions_do_not_and_once(rule: list[tuple[int, tuple[str, int, int]]], args: list[int]) -> None:
    x = sum(value << 64 * index for index, value in enumerate(args))
    rest = cubes.unmatched([(index, *condition) for index, condition in rule], 1 << 20)
    assert holding(rest, x) == int(not all(compared(op, args[index], a, b) for index, (op, a, b) in rule))


def of_one(index: int, condition: tuple[str, int, int]) -> list[cubes.Cube]:
    return cubes.unmatched([(index, *condition)], 5000)


@given(conditions, conditions, st.integers(0, 12), st.integers(0, 12))
def test_both_is_the_intersection(left: tuple[str, int, int], right: tuple[str, int, int], x: int, y: int) -> None:
    found = cubes.both(of_one(0, left), of_one(3, right), 5000)
    expected = not compared(left[0], x, *left[1:]) and not compared(right[0], y, *right[1:])
    assert holding(found, x | y << 192) == int(expected)


def test_the_number_of_rules_is_bounded() -> None:
    with pytest.raises(cubes.TooManyCubesError):
        cubes.unmatched([(index, "SCMP_CMP_NE", 5, 0) for index in range(6)], 512)
