"""The load of a container: counted when asked for, and not again within five seconds, as in the kernel."""
from eci_supervisor.cgroup import tasks
from eci_supervisor.cgroup.reader import Cgroups, Group
from eci_supervisor.procfs import load, readings
from eci_supervisor.procfs.load import Load


class LoadFamily:
    """Reads the tasks of one container; `proc` is the host's procfs."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._start_ns, self._depth = 0, 0
        self._history: load.History | None = None
        self._counted_ns, self._last_pid = 0, 0
        self._counted = tasks.Tasks(0, 0, 0, 0)
        self.last = Load()

    def begin(self, init_pid: int, start_ns: int) -> None:
        """The container's init, and when it started, CLOCK_BOOTTIME."""
        pids = tasks.pids_of(init_pid, self._proc)
        self._start_ns, self._depth, self._history = start_ns, len(pids), None
        self._last_pid, self.last = 1, Load()

    def read(self, cgroups: Cgroups | None, boot_ns: int) -> Load:
        """What there is at `boot_ns`, nothing before there is a container. Raises OSError, ParseError, CgroupGone."""
        group = None if cgroups is None else cgroups.group(b"pids") or cgroups.group(b"cpuacct") or cgroups.group(b"memory")
        if cgroups is None or group is None:
            return self.last
        if self._history is None or boot_ns - self._counted_ns >= load.PERIOD_NS:
            self._count(cgroups, group, boot_ns)
        total = readings.task_total(cgroups)
        total = self._counted.total if total is None else total
        averages = (0, 0, 0) if self._history is None else self._history.averages
        self.last = Load(averages, min(self._counted.running, total), min(self._counted.blocked, total), total, self._last_pid)
        return self.last

    def _count(self, cgroups: Cgroups, group: Group, boot_ns: int) -> None:
        counted = self._counted = tasks.count(group, self._proc, readings.task_total(cgroups))
        self._counted_ns, spent_ns = boot_ns, readings.spent_ns(cgroups)
        self._last_pid = max(self._last_pid, self._named(counted.newest))
        if self._history is None:
            self._history = load.begin(self._start_ns, boot_ns, spent_ns)
        else:
            self._history = load.advance(self._history, boot_ns, spent_ns, counted.running + counted.blocked)

    def _named(self, tid: int) -> int:
        """What the container calls a thread; 0 if it is gone."""
        pids = tasks.pids_of(tid, self._proc) if tid else ()
        return pids[self._depth - 1] if 0 < self._depth <= len(pids) else 0
