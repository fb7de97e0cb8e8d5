"""Busy and idle time of a container's CPUs: sums add up, and nothing goes back."""
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.procfs.cpu import TICK_NS, CpuLedger, PerCpu, Together, advance

SECOND_NS = 1_000_000_000
START = CpuLedger(5 * SECOND_NS)


def test_idle_is_time_less_busy_of_each_cpu() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0, 1), PerCpu({0: 4 * SECOND_NS, 1: 0}))
    assert (ledger.times[0].idle, ledger.times[1].idle, ledger.idle_ticks) == (600, 1000, 1600)


def test_a_sum_is_shared_out() -> None:
    ledger = advance(START, 15 * SECOND_NS, (1, 3), Together(3 * SECOND_NS + TICK_NS))
    assert (ledger.times[1].busy, ledger.times[3].busy) == (150, 151)


def test_a_cpu_that_joins_counts_from_then() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0,), PerCpu({0: 0}))
    ledger = advance(ledger, 16 * SECOND_NS, (0, 1), PerCpu({0: 0, 1: 0}))
    ledger = advance(ledger, 18 * SECOND_NS, (0, 1), PerCpu({0: 0, 1: 0}))
    assert (ledger.times[0].idle, ledger.times[1].idle) == (1300, 200)


def test_a_cpu_that_leaves_keeps_its_time() -> None:
    ledger = advance(START, 15 * SECOND_NS, (0, 1), PerCpu({}))
    later = advance(ledger, 25 * SECOND_NS, (0,), PerCpu({}))
    assert later.idle_ticks == ledger.idle_ticks + 1000


SETS = st.sets(st.integers(0, 3), min_size=1).map(lambda cpus: tuple(sorted(cpus)))
STEPS = st.lists(st.tuples(st.integers(0, 10 * SECOND_NS), SETS, st.integers(0, 40 * SECOND_NS)), min_size=1, max_size=12)


@given(STEPS)
def test_shares_of_a_sum_add_up_and_never_fall(steps: list[tuple[int, tuple[int, ...], int]]) -> None:
    ledger, total_ns = START, 0
    for pause_ns, cpus, growth_ns in steps:
        total_ns += growth_ns
        after = advance(ledger, ledger.at_ns + pause_ns, cpus, Together(total_ns))
        assert sum(time.busy for time in after.times.values()) == total_ns // TICK_NS
        assert_later(ledger, after)
        ledger = after


@given(STEPS)
def test_counters_per_cpu_never_fall(steps: list[tuple[int, tuple[int, ...], int]]) -> None:
    ledger = START
    for pause_ns, cpus, usage_ns in steps:  # whatever the counters do
        after = advance(ledger, ledger.at_ns + pause_ns, cpus, PerCpu(dict.fromkeys(cpus, usage_ns)))
        assert after.idle_ticks <= 4 * (after.at_ns - START.at_ns) // TICK_NS
        assert_later(ledger, after)
        ledger = after


def assert_later(before: CpuLedger, after: CpuLedger) -> None:
    for cpu, time in before.times.items():
        assert after.times[cpu].busy >= time.busy
        assert after.times[cpu].idle >= time.idle
