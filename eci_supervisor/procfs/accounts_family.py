"""What a container did, from its cgroups, moment by moment; and the texts of the host that give nodes their shape."""
import errno
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from eci_supervisor.cgroup import parse
from eci_supervisor.cgroup.reader import Cgroups, Group, read_text
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.procfs import accounts
from eci_supervisor.procfs.accounts import Disk, Events

COUNTED_NS = 1_000_000_000  # cgroups are counted at most once in this time
MOST_CGROUPS = 4096  # counted; beyond it the number stands still
SECTOR_BYTES = 512  # of /sys/dev/block/*/size, whatever the disk's own are
NAME_UEVENT = b"DEVNAME="


class AccountsFamily:
    """Reads them; `proc` and `sys` are the host's."""

    def __init__(self, proc: str, sys: str, disks: Sequence[str] = ()) -> None:
        """`disks`: the container's block devices, as MAJOR:MINOR."""
        self._proc, self._sys, self._own_disks = proc, sys, disks
        self._vmstat_keys: tuple[bytes, ...] = ()
        self._counted: dict[bytes, tuple[int, int]] = {}

    def disks(self, cgroups: Cgroups | None) -> tuple[Disk, ...]:
        """In order of their numbers; none where nothing counts. Raises OSError, ParseError, CgroupGone."""
        group = own_group(cgroups, b"blkio")
        if group is None:
            return ()
        if group.version == 2:
            found = accounts.unified_disks(group.own("io.stat") or b"")
        else:
            found = accounts.legacy_disks(group.own("blkio.throttle.io_serviced_recursive") or b"",
                                          group.own("blkio.throttle.io_service_bytes_recursive") or b"")
        return tuple(disk for key in sorted(found) if (disk := self._named(found[key])) is not None)

    def partitions(self) -> tuple[tuple[Disk, int], ...]:
        """The container's block devices that are there, each with its size in KiB. Raises OSError, ParseError."""
        found = []
        for number in self._own_disks:
            major, _, minor = number.partition(":")
            disk = self._named(Disk(int(major), int(minor)))
            if disk is not None:
                found.append((disk, parse.number(read_text(f"{self._sys}/dev/block/{number}/size")) * SECTOR_BYTES // 1024))
        return tuple(found)

    def events(self, cgroups: Cgroups | None) -> Events:
        """Raises OSError, ParseError, CgroupGone."""
        group = own_group(cgroups, b"memory")
        if group is None:
            return Events({})
        kills = parse.flat(group.own("memory.events" if group.version == 2 else "memory.oom_control") or b"")
        return accounts.events(parse.flat(group.own("memory.stat") or b""), group.version, kills.get(b"oom_kill", 0))

    def cgroup_counts(self, cgroups: Cgroups | None) -> Mapping[bytes, int]:
        """The number of cgroups by controller as the container counts them: its own and all below; 1 where nobody knows."""
        return {} if cgroups is None else {name: self._below(name, group) + 1 for name in cgroups.CONTROLLERS
                                           if name and (group := own_group(cgroups, name)) is not None}

    def pressure(self, cgroups: Cgroups | None, name: str) -> bytes | None:
        """Of one resource, as its cgroup has it; None in version 1, and where the kernel counts none."""
        group = None if cgroups is None else cgroups.unified()
        return None if group is None else group.own(f"{name}.pressure")

    def open_pressure(self, cgroups: Cgroups | None, name: str) -> OwnedFd:
        """The cgroup's own file, for a trigger. Raises OSError: EACCES where there is none."""
        group = None if cgroups is None else cgroups.unified()
        try:
            if group is not None:
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
                return OwnedFd(os.open(f"{name}.pressure", flags, dir_fd=group.levels[0].fileno()))
        except FileNotFoundError:
            pass
        raise PermissionError(errno.EACCES, "no pressure is counted", name)

    def vmstat_keys(self) -> tuple[bytes, ...]:
        """The host's, in its order."""
        if not self._vmstat_keys:
            self._vmstat_keys = tuple(line.split()[0] for line in read_text(f"{self._proc}/vmstat").splitlines())
        return self._vmstat_keys

    def host_cgroups(self) -> bytes:
        """/proc/cgroups."""
        return read_text(f"{self._proc}/cgroups")

    def _named(self, disk: Disk) -> Disk | None:
        """With the kernel's name for it; None if it is gone."""
        try:
            text = read_text(f"{self._sys}/dev/block/{disk.major}:{disk.minor}/uevent")
        except FileNotFoundError:
            return None
        names = [line.removeprefix(NAME_UEVENT) for line in text.splitlines() if line.startswith(NAME_UEVENT)]
        return replace(disk, name=names[0]) if names else None

    def _below(self, name: bytes, group: Group) -> int:
        now = time.monotonic_ns()
        at, count = self._counted.get(name, (-COUNTED_NS, 0))
        if now - at >= COUNTED_NS:
            stat = parse.flat(group.own("cgroup.stat") or b"") if group.version == 2 else {}
            count = stat[b"nr_descendants"] if b"nr_descendants" in stat else descendants(group.levels[0].fileno())
            self._counted[name] = now, count
        return count


def own_group(cgroups: Cgroups | None, controller: bytes) -> Group | None:
    """Where the container's own directory has `controller`: in a hybrid, runtimes make none in version 2, and its is somebody else's."""
    group = None if cgroups is None else cgroups.group(controller)
    memory = None if cgroups is None else cgroups.group(b"memory")
    return None if group is None or (group.version == 2 and memory is not None and memory.version == 1) else group


def descendants(directory: int) -> int:
    """How many directories are below, MOST_CGROUPS at most."""
    count = 0
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        for _, names, _, _ in os.fwalk(".", dir_fd=fd):
            count += len(names)
            if count >= MOST_CGROUPS:
                return MOST_CGROUPS
    finally:
        os.close(fd)
    return count
