"""Takes the samples of one container: on demand, never by a timer, and one for all nodes within its life.

Until attach() there is no container yet: uptime is 0.00, and nothing is used of memory.
A cgroup that is gone, or a text of another shape than expected, leaves the last values as they are.
"""
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from eci_supervisor.cgroup import parse, reader
from eci_supervisor.cgroup.parse import ParseError
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.procfs import memory as memories
from eci_supervisor.procfs import readings
from eci_supervisor.procfs.accounts import Disk, Events
from eci_supervisor.procfs.accounts_family import AccountsFamily
from eci_supervisor.procfs.cpu import TICK_NS, Cpus
from eci_supervisor.procfs.cpu_family import CpuFamily
from eci_supervisor.procfs.cpu_view import CpuView
from eci_supervisor.procfs.identity import Identity
from eci_supervisor.procfs.load import Load
from eci_supervisor.procfs.load_family import LoadFamily
from eci_supervisor.procfs.numa import NumaNode
from eci_supervisor.procfs.numa_family import NumaFamily
from eci_supervisor.procfs.sample import Sample

LIFE_NS = 100_000_000
TICK_CLOCK = 6  # CLOCK_MONOTONIC_COARSE: moves with the kernel's tick, by which it counts what it keeps
KERNEL_TICK_NS = int(time.clock_getres(TICK_CLOCK) * 1e9)
SOON_NS = 100_000  # in this time the kernel has our answer
STARTTIME = 22  # field of /proc/PID/stat, in ticks since boot; proc_pid_stat(5) counts from 1
SECOND_NS = 1_000_000_000
NOBODY = Identity()
T = TypeVar("T")


class Sampler:
    """The live sample of a container."""

    def __init__(self, *, swap_hidden: bool = False, cpu_view: CpuView = CpuView.CPUSET, proc: str = "/proc", sys: str = "/sys",
                 identity: Identity = NOBODY, disks: Sequence[str] = (),
                 on_fault: Callable[[str, Exception], None] = lambda _what, _error: None) -> None:
        """`swap_hidden`: system mode. `proc` and `sys` are the host's; `disks`: the container's block devices. Raises OSError, ParseError.

        `on_fault` is told of a source that cannot be understood: once, until it can be again.
        """
        self._proc, self._swap_hidden, self._on_fault = proc, swap_hidden, on_fault
        self._faulty: set[str] = set()
        self._overcommit = tuple(self._host_number(name) for name in ("overcommit_ratio", "overcommit_kbytes"))
        self._cgroups: reader.Cgroups | None = None
        self._start_ns: int | None = None
        self._boot_offset_ns = 0
        self._btime = 0
        self._cpus, self._loads, self._nodes = CpuFamily(proc, sys, cpu_view), LoadFamily(proc), NumaFamily(sys)
        self._accounts, self.identity = AccountsFamily(proc, sys, disks), identity
        self._disks: tuple[Disk, ...] = ()
        self._events = Events({})
        self._memory = self._read_memory(None)
        self.on_new: Callable[[], None] = lambda: None  # called when the live sample has been replaced
        self.shown_until_s: Callable[[], float] = lambda: 0.0  # see procfs/fuse_library.py
        self._live = self._take()

    def attach(self, init_pid: int) -> None:
        """Opens the cgroups of the container, whose init is `init_pid`. Raises OSError, ParseError."""
        stat = reader.read_text(f"{self._proc}/{init_pid}/stat")
        self._start_ns = start_ticks(stat) * TICK_NS
        self._boot_offset_ns = boot_offset_ns(self._time_offsets(init_pid))
        cgroups = reader.Cgroups(reader.places_of(init_pid, self._proc))
        self.close()
        self._cgroups = cgroups
        self._cpus.begin(self._start_ns)
        self._loads.begin(init_pid, self._start_ns)
        self._live = self._take()
        self.on_new()

    def overcommit(self, ratio: int, kbytes: int) -> None:
        """The container's own vm.overcommit_ratio and _kbytes, from the next sample on."""
        self._overcommit = (ratio, kbytes)

    def sample(self) -> Sample:
        """The live sample, or a new one where its life is over."""
        # An answer may have reached the kernel a tick late, half a tick is for rounding, and the clock may lag a tick behind the count.
        shown_until_ns = int(self.shown_until_s() * 1e9) + 2 * KERNEL_TICK_NS
        if time.clock_gettime_ns(TICK_CLOCK) >= max(self._live.end_ns, shown_until_ns):
            self._live = self._take()
            self.on_new()
        return self._live

    def close(self) -> None:
        if self._cgroups is not None:
            self._cgroups.close()
            self._cgroups = None

    def _take(self) -> Sample:
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        # In a time namespace of its own the container's machine has booted when its clock says, a moment before init started.
        begun_ns = -self._boot_offset_ns or self._start_ns
        age_ns = 0 if begun_ns is None else max(0, boot_ns - begun_ns)
        btime = (time.time_ns() - boot_ns - self._boot_offset_ns) // SECOND_NS
        if abs(btime - self._btime) > 1:  # two clocks read one after the other: it must not tremble between two seconds
            self._btime = btime
        ticks_ns = time.clock_gettime_ns(TICK_CLOCK)
        return Sample(ticks_ns + LIFE_NS // KERNEL_TICK_NS * KERNEL_TICK_NS, boot_ns, age_ns, self._btime, self)

    # What a sample asks for. Each leaves the last values where there are no new ones.

    def memory(self) -> memories.Memory:
        self._memory = self._fresh("memory", lambda: self._read_memory(self._cgroups), self._memory)
        return self._memory

    def cpu(self, boot_ns: int) -> Cpus:
        return self._fresh("cpu", lambda: self._cpus.read(self._cgroups, boot_ns), self._cpus.last)

    def cpuinfo(self, cpus: tuple[int, ...]) -> bytes:
        return self._cpus.cpuinfo(cpus)

    def load(self, boot_ns: int) -> Load:
        return self._fresh("load", lambda: self._loads.read(self._cgroups, boot_ns), self._loads.last)

    def numa(self, of: memories.Memory) -> Mapping[int, NumaNode]:
        return self._fresh("numa", lambda: self._nodes.read(self._cgroups, of), self._nodes.last)

    def disks(self) -> tuple[Disk, ...]:
        self._disks = self._fresh("disks", lambda: self._accounts.disks(self._cgroups), self._disks)
        return self._disks

    def partitions(self) -> tuple[tuple[Disk, int], ...]:
        return self._fresh("partitions", self._accounts.partitions, ())

    def events(self) -> Events:
        self._events = self._fresh("events", lambda: self._accounts.events(self._cgroups), self._events)
        return self._events

    def cgroup_counts(self) -> Mapping[bytes, int]:
        return self._fresh("cgroups", lambda: self._accounts.cgroup_counts(self._cgroups), {})

    def pressure(self, name: str) -> bytes | None:
        return self._fresh("pressure", lambda: self._accounts.pressure(self._cgroups, name), None)

    def open_pressure(self, name: str) -> OwnedFd:
        """The container's cgroup's own file, for a trigger. Raises OSError: EACCES where there is none."""
        return self._accounts.open_pressure(self._cgroups, name)

    def vmstat_keys(self) -> tuple[bytes, ...]:
        return self._accounts.vmstat_keys()

    def host_cgroups(self) -> bytes:
        return self._accounts.host_cgroups()

    def _fresh(self, what: str, read: Callable[[], T], last: T) -> T:
        try:
            value = read()
        except reader.CgroupGone:
            return last
        except (OSError, ParseError) as error:
            self._fault(what, error)
            return last
        self._faulty.discard(what)
        return value

    def _fault(self, what: str, error: Exception) -> None:
        if what not in self._faulty:
            self._faulty.add(what)
            self._on_fault(what, error)

    def _read_memory(self, cgroups: reader.Cgroups | None) -> memories.Memory:
        """Raises OSError, ParseError, CgroupGone."""
        host = memories.HostMemory(memories.parse_meminfo(reader.read_text(f"{self._proc}/meminfo")), *self._overcommit)
        group = None if cgroups is None else cgroups.group(b"memory")
        if cgroups is None or group is None:
            return memories.memory(host, (), memories.Usage(), swap_hidden=self._swap_hidden)
        levels, usage = readings.memory_state(group, host.bytes_of(b"MemTotal"))
        return memories.memory(
            host, levels, usage, huge=readings.huge_pages(cgroups.group(b"hugetlb"), memories.host_huge_pages(host)),
            swap_hidden=self._swap_hidden, swappiness=readings.swappiness(group),
        )

    def _time_offsets(self, init_pid: int) -> bytes:
        try:
            return reader.read_text(f"{self._proc}/{init_pid}/timens_offsets")
        except FileNotFoundError:  # a kernel without time namespaces
            return b""

    def _host_number(self, name: str) -> int:
        return int(reader.read_text(f"{self._proc}/sys/vm/{name}"))


def remaining_s(sample: Sample) -> float:
    """How long the kernel may show what was rendered from a sample, in seconds: until it is replaced, to the tick.

    Longer, and a file would still tell the old sample when sysinfo(2), or another file, tells the new one; shorter, and each of a hundred
    readers would ask all the time in between. The kernel begins to count with the tick that it is in, and rounds up.
    Nothing may be kept of before there is a container: its nodes are looked up then, and read when it starts.
    """
    if sample.uptime_ns == 0:
        return 0.0
    ticks_ns = time.clock_gettime_ns(TICK_CLOCK)
    if time.monotonic_ns() + SOON_NS >= ticks_ns + KERNEL_TICK_NS:
        ticks_ns += KERNEL_TICK_NS
    whole = (sample.end_ns - ticks_ns + KERNEL_TICK_NS // 2) // KERNEL_TICK_NS - 1  # the clock's steps are only nearly of one length
    return max(0.0, (whole - 0.5) * KERNEL_TICK_NS / 1e9)


def boot_offset_ns(offsets: bytes) -> int:
    """What a time namespace adds to CLOCK_BOOTTIME, from /proc/PID/timens_offsets: `clock seconds nanoseconds` a line."""
    for line in offsets.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == b"boottime":
            return parse.number(words[1]) * SECOND_NS + parse.number(words[2])
    return 0


def start_ticks(stat: bytes) -> int:
    """Start of a process in ticks since boot. A name may hold blanks and parentheses: fields count from the last `)`."""
    try:
        return int(stat[stat.rindex(b")") + 2:].split()[STARTTIME - 3])
    except (ValueError, IndexError):
        raise ParseError(f"/proc/PID/stat: {os.fsdecode(stat[:80])!r}") from None
