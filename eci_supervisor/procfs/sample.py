"""One moment of a container, from which all of its nodes are rendered."""
from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

from eci_supervisor.procfs.accounts import Disk, Events
from eci_supervisor.procfs.cpu import TICK_NS, Cpus
from eci_supervisor.procfs.identity import Identity
from eci_supervisor.procfs.load import Load
from eci_supervisor.procfs.memory import Memory
from eci_supervisor.procfs.numa import NumaNode


class Families(Protocol):
    """What a sample is filled from. boot_ns: its moment, CLOCK_BOOTTIME."""

    def memory(self) -> Memory: ...
    def cpu(self, boot_ns: int) -> Cpus: ...
    def cpuinfo(self, cpus: tuple[int, ...]) -> bytes: ...
    def load(self, boot_ns: int) -> Load: ...
    def numa(self, memory: Memory) -> Mapping[int, NumaNode]: ...
    def disks(self) -> tuple[Disk, ...]: ...
    def partitions(self) -> tuple[tuple[Disk, int], ...]: ...
    def events(self) -> Events: ...
    def cgroup_counts(self) -> Mapping[bytes, int]: ...
    def pressure(self, name: str) -> bytes | None: ...
    def vmstat_keys(self) -> tuple[bytes, ...]: ...
    def host_cgroups(self) -> bytes: ...
    @property
    def identity(self) -> Identity: ...


class Sample:
    """Nanoseconds throughout; what a node needs is read when it is first asked for, then kept.

    end_ns: CLOCK_MONOTONIC, at a tick of the kernel's; boot_ns: when it was taken, CLOCK_BOOTTIME; uptime_ns: since the container's init
    started; btime: seconds since 1970 at which the machine did.
    """

    def __init__(self, end_ns: int, boot_ns: int, uptime_ns: int, btime: int, families: Families) -> None:
        self.end_ns, self.boot_ns, self.uptime_ns, self.btime = end_ns, boot_ns, uptime_ns, btime
        self._families = families

    @property
    def idle_ns(self) -> int:
        """Summed over the container's CPUs."""
        return self.cpu.ledger.idle_ticks * TICK_NS

    @cached_property
    def memory(self) -> Memory:
        return self._families.memory()

    @cached_property
    def cpu(self) -> Cpus:
        return self._families.cpu(self.boot_ns)

    @cached_property
    def cpuinfo(self) -> bytes:
        return self._families.cpuinfo(self.cpu.shown)

    @cached_property
    def load(self) -> Load:
        return self._families.load(self.boot_ns)

    @cached_property
    def numa(self) -> Mapping[int, NumaNode]:
        return self._families.numa(self.memory)

    @cached_property
    def disks(self) -> tuple[Disk, ...]:
        return self._families.disks()

    @property
    def partitions(self) -> tuple[tuple[Disk, int], ...]:
        """The container's block devices and their sizes in KiB."""
        return self._families.partitions()

    @cached_property
    def events(self) -> Events:
        return self._families.events()

    @property
    def cgroup_counts(self) -> Mapping[bytes, int]:
        return self._families.cgroup_counts()

    def pressure(self, name: str) -> bytes | None:
        """Of one resource; None where nothing counts it for this container alone."""
        return self._families.pressure(name)

    @property
    def vmstat_keys(self) -> tuple[bytes, ...]:
        return self._families.vmstat_keys()

    @property
    def host_cgroups(self) -> bytes:
        return self._families.host_cgroups()

    @property
    def identity(self) -> Identity:
        return self._families.identity
