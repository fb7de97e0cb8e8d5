"""A container's CPUs and how long they were busy and idle. Pure: a ledger and a moment in, the next ledger out.

A CPU that leaves the container's cpuset keeps its line in the ledger, so that no sum ever goes back.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

TICK_NS = 10_000_000  # USER_HZ is 100 on every architecture that Linux has containers on
NO_CPUS: Mapping[int, "CpuTime"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PerCpu:
    """Busy nanoseconds of each CPU since the cgroup was made: version 1's cpuacct."""

    busy_ns: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Together:
    """Busy nanoseconds of all CPUs together: version 2's cpu.stat, which keeps none per CPU."""

    busy_ns: int


CpuUsage: TypeAlias = PerCpu | Together


@dataclass(frozen=True, slots=True)
class CpuTime:
    """One CPU: nanoseconds it has been in the set, ticks it was busy and idle in them, busy ticks when the set last changed."""

    inside_ns: int
    busy: int = 0
    idle: int = 0
    base: int = 0


@dataclass(frozen=True, slots=True)
class CpuLedger:
    """What is known at `at_ns`: the set, its CPUs and those that once were in it.

    seen: ticks of all CPUs together at `at_ns`; together: the same when the set last changed.
    """

    at_ns: int
    cpus: tuple[int, ...] = ()
    times: Mapping[int, CpuTime] = field(default_factory=lambda: NO_CPUS)
    seen: int = 0
    together: int = 0

    @property
    def idle_ticks(self) -> int:
        return sum(time.idle for time in self.times.values())


def advance(ledger: CpuLedger, now_ns: int, cpus: tuple[int, ...], usage: CpuUsage) -> CpuLedger:
    """The ledger at `now_ns`. A CPU new in the set counts from now; those of the first set from `ledger.at_ns`, the container's start."""
    first = not ledger.cpus
    elapsed = max(0, now_ns - ledger.at_ns)
    times, together = dict(ledger.times), ledger.together
    if cpus != ledger.cpus and not first:
        times = {cpu: replace(time, base=time.busy) for cpu, time in times.items()}
        together = ledger.seen
    seen = max(ledger.seen, usage.busy_ns // TICK_NS) if isinstance(usage, Together) else 0
    for place, cpu in enumerate(cpus):
        time = times.get(cpu, CpuTime(0))
        inside_ns = time.inside_ns + (elapsed if first or cpu in ledger.cpus else 0)
        # Of a sum for all, the i-th of n has floor((growth + i) / n): the shares add up and never fall.
        share = time.base + (seen - together + place) // len(cpus)
        times[cpu] = later(time, inside_ns, usage.busy_ns.get(cpu, 0) // TICK_NS if isinstance(usage, PerCpu) else share)
    return CpuLedger(ledger.at_ns + elapsed, cpus, times, seen, together)


def later(time: CpuTime, inside_ns: int, busy: int) -> CpuTime:
    """`time` moved on; neither column goes back."""
    busy = max(time.busy, busy)
    return CpuTime(inside_ns, busy, max(time.idle, inside_ns // TICK_NS - busy), time.base)
