"""Load averages: the kernel's numbers, and what stands for the periods in which nobody asked."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.procfs.load import FACTORS, ONE, PERIOD_NS, Averages, History, Load, advance, begin, decayed, power
from eci_supervisor.procfs.nodes.loadavg import hundredths

SECOND_NS = 1_000_000_000
IDLE = History(0, 0, (0, 0, 0))


def test_the_kernels_own_steps() -> None:
    """From 0 with one task, as calc_load() of kernel/sched/loadavg.c goes: each step rounded up while it rises."""
    averages: Averages = (0, 0, 0)
    seen = []
    for _ in range(3):
        averages = decayed(averages, ONE, 1)
        seen.append(averages)
    assert seen == [(164, 34, 11), (315, 68, 22), (454, 101, 33)]


def test_one_period_at_a_time() -> None:
    history = advance(IDLE, PERIOD_NS - 1, 0, 7)
    assert history is IDLE
    assert advance(IDLE, PERIOD_NS, 0, 1).averages == (164, 34, 11)


def test_missed_periods_count_what_was_spent_in_them() -> None:
    busy = advance(IDLE, 13 * PERIOD_NS, 13 * 5 * SECOND_NS, 1)  # one CPU busy for all the 65 seconds
    assert busy.averages[0] == pytest.approx(ONE * (1 - 2.718281828 ** (-65 / 60)), rel=0.01)
    assert busy.at_ns == 13 * PERIOD_NS
    idle = advance(busy, 13 * PERIOD_NS + 12 * 60 * SECOND_NS, busy.spent_ns, 0)
    assert hundredths(idle.averages[0] + ONE // 200) == b"0.00"


def test_the_first_look_is_the_average_since_the_start() -> None:
    assert begin(10 * SECOND_NS, 110 * SECOND_NS, 150 * SECOND_NS).averages == (3 * ONE // 2,) * 3
    young = begin(10 * SECOND_NS, 10 * SECOND_NS + SECOND_NS // 5, SECOND_NS // 10)
    assert young.averages[0] < ONE // 5  # what starting took is not its load


@given(st.integers(0, 4096))
def test_powers_are_those_of_numbers(exponent: int) -> None:
    for factor in FACTORS:
        assert power(factor, exponent) == pytest.approx(ONE * (factor / ONE) ** exponent, abs=2 + exponent.bit_length() ** 2)


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 5000)), max_size=10))
def test_averages_stay_within_what_ever_ran(steps: list[tuple[int, int, int]]) -> None:
    history, most = IDLE, 0
    for pause_ns, spent_ns, active in steps:
        after = advance(history, history.at_ns + pause_ns, history.spent_ns + spent_ns, active)
        most = max(most, active * ONE, (spent_ns * ONE) // max(1, pause_ns))
        assert all(0 <= average <= most for average in after.averages)
        history = after


def test_rounded_to_hundredths() -> None:
    assert [hundredths(value + ONE // 200) for value in (0, ONE, ONE // 2, 3 * ONE - 1)] == [b"0.00", b"1.00", b"0.50", b"3.00"]
    assert Load().averages == (0, 0, 0)
