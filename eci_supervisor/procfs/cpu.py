"""A container's CPUs and how long they were busy and idle. Pure: a ledger and a moment in, the next ledger out.

A CPU that leaves the container's cpuset keeps its line in the ledger, so that no sum ever goes back.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

TICK_NS = 10_000_000  # USER_HZ is 100 on every architecture that Linux has containers on
Columns: TypeAlias = tuple[int, int, int]  # user, nice, system
NOTHING: Columns = (0, 0, 0)
NO_CPUS: Mapping[int, "CpuTime"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PerCpu:
    """User and system nanoseconds of each CPU since the cgroup was made: version 1's cpuacct."""

    busy_ns: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Together:
    """Busy nanoseconds of all CPUs together: version 2's cpu.stat, which keeps none per CPU."""

    busy_ns: Columns


CpuUsage: TypeAlias = PerCpu | Together


@dataclass(frozen=True, slots=True)
class CpuTime:
    """One CPU: nanoseconds it has been in the set, ticks it was busy and idle in them, busy ticks when the set last changed."""

    inside_ns: int = 0
    busy: Columns = NOTHING
    idle: int = 0
    base: Columns = NOTHING


@dataclass(frozen=True, slots=True)
class CpuLedger:
    """What is known at `at_ns`: the set, its CPUs and those that once were in it.

    seen: ticks of all CPUs together at `at_ns`; together: the same when the set last changed.
    """

    at_ns: int
    cpus: tuple[int, ...] = ()
    times: Mapping[int, CpuTime] = field(default_factory=lambda: NO_CPUS)
    seen: Columns = NOTHING
    together: Columns = NOTHING

    @property
    def idle_ticks(self) -> int:
        return sum(time.idle for time in self.times.values())

    @property
    def busy_ticks(self) -> Columns:
        """Of all CPUs that ever were in the set."""
        user, nice, system = (sum(column) for column in zip(NOTHING, *(time.busy for time in self.times.values()), strict=True))
        return user, nice, system


@dataclass(frozen=True, slots=True)
class Cpus:
    """One moment. shown: the container's; possible: all the machine could ever have."""

    shown: tuple[int, ...]
    possible: tuple[int, ...]
    ledger: CpuLedger


def advance(ledger: CpuLedger, now_ns: int, cpus: tuple[int, ...], usage: CpuUsage) -> CpuLedger:
    """The ledger at `now_ns`. A CPU new in the set counts from now; those of the first set from `ledger.at_ns`, the container's start."""
    first = not ledger.cpus
    elapsed = max(0, now_ns - ledger.at_ns)
    times, together = dict(ledger.times), ledger.together
    if cpus != ledger.cpus and not first:
        times = {cpu: replace(time, base=time.busy) for cpu, time in times.items()}
        together = ledger.seen
    seen = most(ledger.seen, ticks(usage.busy_ns)) if isinstance(usage, Together) else NOTHING
    for place, cpu in enumerate(cpus):
        time = times.get(cpu, CpuTime())
        inside_ns = time.inside_ns + (elapsed if first or cpu in ledger.cpus else 0)
        if isinstance(usage, PerCpu):
            user_ns, system_ns = usage.busy_ns.get(cpu, (0, 0))
            busy = ticks((user_ns, 0, system_ns))
        else:
            busy = share(time.base, together, seen, place, len(cpus))
        times[cpu] = later(time, inside_ns, busy)
    return CpuLedger(ledger.at_ns + elapsed, cpus, times, seen, together)


def later(time: CpuTime, inside_ns: int, busy: Columns) -> CpuTime:
    """`time` moved on; no column goes back."""
    busy = most(time.busy, busy)
    return CpuTime(inside_ns, busy, max(time.idle, inside_ns // TICK_NS - sum(busy)), time.base)


def share(base: Columns, then: Columns, now: Columns, place: int, count: int) -> Columns:
    """Of a sum for all, the i-th of n has floor((growth + i) / n): the shares add up and never fall."""
    user, nice, system = (start + (after - before + place) // count for start, before, after in zip(base, then, now, strict=True))
    return user, nice, system


def ticks(busy_ns: Columns) -> Columns:
    user, nice, system = busy_ns
    return user // TICK_NS, nice // TICK_NS, system // TICK_NS


def most(one: Columns, other: Columns) -> Columns:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def summed(usage: CpuUsage) -> Together:
    """The same of all CPUs together."""
    if isinstance(usage, Together):
        return usage
    return Together((sum(user for user, _ in usage.busy_ns.values()), 0, sum(system for _, system in usage.busy_ns.values())))
