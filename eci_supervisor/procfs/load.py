"""The load averages of a container, by the kernel's fixed-point arithmetic. Pure. Source: include/linux/sched/loadavg.h.

The kernel counts every 5 seconds whether somebody asks or not; ours are brought up to date when they are asked for.
"""
from dataclasses import dataclass
from typing import Final, TypeAlias

Averages: TypeAlias = tuple[int, int, int]  # of 1, 5 and 15 minutes, in units of ONE

SHIFT: Final = 11
ONE: Final = 1 << SHIFT
FACTORS: Final = (1884, 2014, 2037)  # ONE / exp(5 s / 1 min), and so on
PERIOD_NS: Final = 5_000_000_000
PRINTED: Final = ONE // 200  # rounds to hundredths


@dataclass(frozen=True, slots=True)
class Load:
    """One moment: averages, tasks that run, that wait for a disk, all tasks; the highest pid seen, as the container numbers them."""

    averages: Averages = (0, 0, 0)
    running: int = 0
    blocked: int = 0
    tasks: int = 0
    last_pid: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Where the averages stand: at `at_ns`, a whole number of periods after they began. `spent_ns`: see `mean`."""

    at_ns: int
    spent_ns: int
    averages: Averages


def begin(start_ns: int, now_ns: int, spent_ns: int) -> History:
    """First asked for at `now_ns`: what has run on average since `start_ns`, as if it always had."""
    seed = mean(max(now_ns - start_ns, PERIOD_NS), spent_ns)
    return History(now_ns, spent_ns, (seed, seed, seed))


def advance(history: History, now_ns: int, spent_ns: int, active: int) -> History:
    """`active` tasks run or wait for a disk now; of the periods that nobody asked in, the mean of what was spent counts."""
    periods = (now_ns - history.at_ns) // PERIOD_NS
    if periods <= 0:
        return history
    averages = history.averages
    if periods > 1:
        averages = decayed(averages, mean(now_ns - history.at_ns, spent_ns - history.spent_ns), periods - 1)
    averages = decayed(averages, active << SHIFT, 1)
    return History(history.at_ns + periods * PERIOD_NS, spent_ns, averages)


def mean(elapsed_ns: int, spent_ns: int) -> int:
    """Tasks that ran or stalled on average, in units of ONE, from the time they spent on it."""
    return max(0, (spent_ns << SHIFT) // elapsed_ns)


def decayed(averages: Averages, active: int, periods: int) -> Averages:
    one, five, fifteen = (smoothed(load, power(factor, periods), active) for load, factor in zip(averages, FACTORS, strict=True))
    return one, five, fifteen


def smoothed(load: int, factor: int, active: int) -> int:
    """Rounded up while the load rises, so that it gets where it goes."""
    total = load * factor + active * (ONE - factor)
    return (total + (ONE - 1 if active >= load else 0)) >> SHIFT


def power(factor: int, exponent: int) -> int:
    """factor^exponent in units of ONE, each product rounded to nearest."""
    result = ONE
    while exponent:
        if exponent & 1:
            result = (result * factor + ONE // 2) >> SHIFT
        factor = (factor * factor + ONE // 2) >> SHIFT
        exponent >>= 1
    return result
