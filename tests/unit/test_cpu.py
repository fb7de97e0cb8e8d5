"""Busy and idle time of a container's CPUs: sums add up, and nothing goes back."""
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.procfs.cpu import TICK_NS, Columns, CpuLedger, PerCpu, Together, advance, summed

SECOND_NS = 1_000_000_000
START = CpuLedger(5 * SECOND_NS)


def test_idle_is_time_less_busy_of_each_cpu() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0, 1), PerCpu({0: (3 * SECOND_NS, SECOND_NS), 1: (0, 0)}))
    assert (ledger.times[0].idle, ledger.times[1].idle, ledger.idle_ticks) == (600, 1000, 1600)
    assert (ledger.times[0].busy, ledger.busy_ticks) == ((300, 0, 100), (300, 0, 100))


def test_a_sum_is_shared_out() -> None:
    ledger = advance(START, 15 * SECOND_NS, (1, 3), Together((3 * SECOND_NS + TICK_NS, TICK_NS, 2 * TICK_NS)))
    assert (ledger.times[1].busy, ledger.times[3].busy) == ((150, 0, 1), (151, 1, 1))


def test_a_cpu_that_joins_counts_from_then() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0,), PerCpu({}))
    ledger = advance(ledger, 16 * SECOND_NS, (0, 1), PerCpu({}))
    ledger = advance(ledger, 18 * SECOND_NS, (0, 1), PerCpu({}))
    assert (ledger.times[0].idle, ledger.times[1].idle) == (1300, 200)


def test_a_cpu_that_leaves_keeps_its_time() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0, 1), PerCpu({1: (SECOND_NS, 0)}))
    later = advance(ledger, 25 * SECOND_NS, (0,), PerCpu({}))
    assert later.idle_ticks == ledger.idle_ticks + 1000
    assert later.busy_ticks == (100, 0, 0)


def test_per_cpu_usage_as_a_sum() -> None:
    assert summed(PerCpu({0: (1, 2), 3: (4, 8)})) == Together((5, 0, 10))
    assert summed(Together((1, 2, 3))) == Together((1, 2, 3))


SETS = st.sets(st.integers(0, 3), min_size=1).map(lambda cpus: tuple(sorted(cpus)))
GROWTH = st.tuples(*[st.integers(0, 40 * SECOND_NS)] * 3)
STEPS = st.lists(st.tuples(st.integers(0, 10 * SECOND_NS), SETS, GROWTH), min_size=1, max_size=12)
Steps = Sequence[tuple[int, tuple[int, ...], Columns]]


@given(STEPS)
def test_shares_of_a_sum_add_up_and_never_fall(steps: Steps) -> None:
    ledger, total_ns = START, (0, 0, 0)
    for pause_ns, cpus, growth_ns in steps:
        total_ns = (total_ns[0] + growth_ns[0], total_ns[1] + growth_ns[1], total_ns[2] + growth_ns[2])
        after = advance(ledger, ledger.at_ns + pause_ns, cpus, Together(total_ns))
        assert after.busy_ticks == tuple(column // TICK_NS for column in total_ns)
        assert_later(ledger, after)
        ledger = after


@given(STEPS)
def test_counters_per_cpu_never_fall(steps: Steps) -> None:
    ledger = START
    for pause_ns, cpus, usage_ns in steps:  # whatever the counters do
        after = advance(ledger, ledger.at_ns + pause_ns, cpus, PerCpu(dict.fromkeys(cpus, usage_ns[:2])))
        assert after.idle_ticks <= 4 * (after.at_ns - START.at_ns) // TICK_NS
        assert_later(ledger, after)
        ledger = after


def assert_later(before: CpuLedger, after: CpuLedger) -> None:
    """No column of any CPU went back, and neither did a total."""
    for cpu, time in before.times.items():
        assert all(now >= then for then, now in zip(time.busy, after.times[cpu].busy, strict=True))
        assert after.times[cpu].idle >= time.idle
    assert all(now >= then for then, now in zip(before.busy_ticks, after.busy_ticks, strict=True))
    assert after.idle_ticks >= before.idle_ticks
