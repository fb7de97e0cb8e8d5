"""The CPUs of a container, moment by moment: which it is shown, what they did, what they are."""
from eci_supervisor.cgroup.parse import cpu_list
from eci_supervisor.cgroup.reader import Cgroups, read_text
from eci_supervisor.procfs import readings
from eci_supervisor.procfs.cpu import CpuLedger, Cpus, advance, summed
from eci_supervisor.procfs.cpu_view import CpuView, shown
from eci_supervisor.procfs.cpuinfo import CpuInfo, parsed


class CpuFamily:
    """Reads the CPU controllers of one container."""

    def __init__(self, proc: str, sys: str, view: CpuView) -> None:
        """`proc` and `sys` are the host's. Raises OSError, ParseError."""
        self._proc, self._sys, self._view = proc, sys, view
        self._possible = self._host_list("possible")
        self._host: CpuInfo | None = None
        self._cpuinfo: tuple[tuple[int, ...], bytes] = ((), b"")
        self.last = Cpus(self.online(), self._possible, CpuLedger(0))

    def begin(self, start_ns: int) -> None:
        """The container's init started then, CLOCK_BOOTTIME."""
        self.last = Cpus(self.last.shown, self._possible, CpuLedger(start_ns))

    def read(self, cgroups: Cgroups | None, boot_ns: int) -> Cpus:
        """What there is at `boot_ns`; before there is a container, the host's CPUs and no time. Raises OSError, ParseError, CgroupGone."""
        if cgroups is None:
            self.last = Cpus(self.online(), self._possible, self.last.ledger)
            return self.last
        cpus, usage = readings.cpu_set(cgroups, self.online), readings.cpu_usage(cgroups)
        if self._view is CpuView.QUOTA:  # threads also run on CPUs that are not shown
            cpus, usage = shown(cpus, readings.cpu_quota(cgroups), self._view), summed(usage)
        self.last = Cpus(cpus, self._possible, advance(self.last.ledger, boot_ns, cpus, usage))
        return self.last

    def cpuinfo(self, cpus: tuple[int, ...]) -> bytes:
        """/proc/cpuinfo of these CPUs. The host's is read once: its frequencies change, and reading it interrupts every CPU."""
        if self._host is None or not self._host.knows(cpus):
            self._host = parsed(read_text(f"{self._proc}/cpuinfo"))
        if self._cpuinfo[0] != cpus:
            self._cpuinfo = cpus, self._host.narrowed(cpus)
        return self._cpuinfo[1]

    def online(self) -> tuple[int, ...]:
        return self._host_list("online")

    def _host_list(self, name: str) -> tuple[int, ...]:
        return cpu_list(read_text(f"{self._sys}/devices/system/cpu/{name}"))
