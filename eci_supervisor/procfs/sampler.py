"""Takes the samples of one container: on demand, never by a timer, and one for all nodes within its life.

Until attach() there is no container yet: uptime is 0.00, and nothing is used of memory.
A cgroup that is gone, or a text of another shape than expected, leaves the last values as they are.
"""
import os
import time
from collections.abc import Callable

from eci_supervisor.cgroup import reader
from eci_supervisor.cgroup.parse import ParseError, cpu_list
from eci_supervisor.procfs import memory, readings
from eci_supervisor.procfs.cpu import TICK_NS, CpuLedger, advance
from eci_supervisor.procfs.sample import Sample

LIFE_NS = 100_000_000
LEAST_LEFT_NS = LIFE_NS // 10  # a sample with less left is replaced: its readers would be back at once
STARTTIME = 22  # field of /proc/PID/stat, in ticks since boot; proc_pid_stat(5) counts from 1


class Sampler:
    """The live sample of a container."""

    def __init__(self, *, swap_hidden: bool = False, proc: str = "/proc", sys: str = "/sys",
                 on_fault: Callable[[str, Exception], None] = lambda _what, _error: None) -> None:
        """`swap_hidden`: system mode. `proc` and `sys` are the host's. Raises OSError, ParseError.

        `on_fault` is told of a source that cannot be understood: once, until it can be again.
        """
        self._proc, self._sys, self._swap_hidden, self._on_fault = proc, sys, swap_hidden, on_fault
        self._faulty: set[str] = set()
        self._overcommit = tuple(self._host_number(name) for name in ("overcommit_ratio", "overcommit_kbytes"))
        self._cgroups: reader.Cgroups | None = None
        self._start_ns: int | None = None
        self._ledger = CpuLedger(0)
        self._memory = self._read_memory(None)
        self._live = self._take(time.monotonic_ns())

    def attach(self, init_pid: int) -> None:
        """Opens the cgroups of the container, whose init is `init_pid`. Raises OSError, ParseError."""
        stat = reader.read_text(f"{self._proc}/{init_pid}/stat")
        self._start_ns = start_ticks(stat) * TICK_NS
        cgroups = reader.Cgroups(reader.places_of(init_pid, self._proc))
        self.close()
        self._cgroups, self._ledger = cgroups, CpuLedger(self._start_ns)
        self._live = self._take(time.monotonic_ns())

    def sample(self) -> Sample:
        """The live sample, or a new one where its life is all but over."""
        now = time.monotonic_ns()
        if self._live.taken_ns + LIFE_NS - now < LEAST_LEFT_NS:
            self._live = self._take(now)
        return self._live

    def close(self) -> None:
        if self._cgroups is not None:
            self._cgroups.close()
            self._cgroups = None

    def _take(self, now_ns: int) -> Sample:
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        age_ns = 0 if self._start_ns is None else max(0, boot_ns - self._start_ns)
        return Sample(now_ns, age_ns, lambda: self._idle_ns(boot_ns), self._memory_now)

    def _idle_ns(self, boot_ns: int) -> int:
        if self._cgroups is None:
            return self._ledger.idle_ticks * TICK_NS
        try:
            cpus = readings.cpu_set(self._cgroups, self._online)
            self._ledger = advance(self._ledger, boot_ns, cpus, readings.cpu_usage(self._cgroups))
            self._faulty.discard("cpu")
        except reader.CgroupGone:
            pass
        except (OSError, ParseError) as error:
            self._fault("cpu", error)
        return self._ledger.idle_ticks * TICK_NS

    def _memory_now(self) -> memory.Memory:
        try:
            self._memory = self._read_memory(self._cgroups)
            self._faulty.discard("memory")
        except reader.CgroupGone:
            pass
        except (OSError, ParseError) as error:
            self._fault("memory", error)
        return self._memory

    def _fault(self, what: str, error: Exception) -> None:
        if what not in self._faulty:
            self._faulty.add(what)
            self._on_fault(what, error)

    def _read_memory(self, cgroups: reader.Cgroups | None) -> memory.Memory:
        """Raises OSError, ParseError, CgroupGone."""
        host = memory.HostMemory(memory.parse_meminfo(reader.read_text(f"{self._proc}/meminfo")), *self._overcommit)
        group = None if cgroups is None else cgroups.group(b"memory")
        if cgroups is None or group is None:
            return memory.memory(host, (), memory.Usage(), swap_hidden=self._swap_hidden)
        levels, usage = readings.memory_state(group, host.bytes_of(b"MemTotal"))
        return memory.memory(
            host, levels, usage, huge=readings.huge_pages(cgroups.group(b"hugetlb"), memory.host_huge_pages(host)),
            swap_hidden=self._swap_hidden, swappiness=readings.swappiness(group),
        )

    def _online(self) -> tuple[int, ...]:
        return cpu_list(reader.read_text(f"{self._sys}/devices/system/cpu/online"))

    def _host_number(self, name: str) -> int:
        return int(reader.read_text(f"{self._proc}/sys/vm/{name}"))


def remaining_s(sample: Sample) -> float:
    """What is left of a sample's life, in seconds; the attribute time to live of what was rendered from it."""
    return max(0, sample.taken_ns + LIFE_NS - time.monotonic_ns()) / 1e9


def start_ticks(stat: bytes) -> int:
    """Start of a process in ticks since boot. A name may hold blanks and parentheses: fields count from the last `)`."""
    try:
        return int(stat[stat.rindex(b")") + 2:].split()[STARTTIME - 3])
    except (ValueError, IndexError):
        raise ParseError(f"/proc/PID/stat: {os.fsdecode(stat[:80])!r}") from None
