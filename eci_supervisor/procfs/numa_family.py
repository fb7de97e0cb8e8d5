"""The memory nodes of the machine as a container sees them, moment by moment."""
import os
import re
from collections.abc import Mapping

from eci_supervisor.cgroup.parse import cpu_list
from eci_supervisor.cgroup.reader import Cgroups, read_text
from eci_supervisor.procfs import readings
from eci_supervisor.procfs.memory import Memory, Usage, parse_meminfo
from eci_supervisor.procfs.numa import MOST, NumaNode, part

NAME = re.compile(r"node(\d+)")


def host_nodes(sys: str = "/sys") -> tuple[int, ...]:
    """The nodes whose files are virtual: none where they are too many, or where the kernel knows none."""
    try:
        names = os.listdir(f"{sys}/devices/system/node")
    except FileNotFoundError:
        return ()
    numbers = sorted(int(match[1]) for name in names if (match := NAME.fullmatch(name)))
    return tuple(numbers) if len(numbers) <= MOST and all(number < MOST for number in numbers) else ()


class NumaFamily:
    """Reads them; `sys` is the host's."""

    def __init__(self, sys: str) -> None:
        self._sys = sys
        self._numbers = host_nodes(sys)
        self._pages = os.sysconf("SC_PAGESIZE")
        self.last: Mapping[int, NumaNode] = {}

    def read(self, cgroups: Cgroups | None, memory: Memory) -> Mapping[int, NumaNode]:
        """By number; `memory` is all that the container has. Raises OSError, ParseError, CgroupGone."""
        hosts = {number: self._host(number) for number in self._numbers}
        allowed = self._numbers if cgroups is None else readings.memory_nodes(cgroups, lambda: self._numbers)
        whole = sum(hosts[number][b"MemTotal"] for number in allowed if number in hosts)
        found = {}
        for number, host in hosts.items():
            share = host[b"MemTotal"] if number in allowed else 0
            used = self._usage(cgroups, number, memory, allowed)
            cpus, mask = cpu_list(self._text(number, "cpulist")), self._text(number, "cpumap")
            found[number] = NumaNode(cpus, mask, part(memory, host, used, share, max(1, whole)))
        self.last = found
        return found

    def _usage(self, cgroups: Cgroups | None, number: int, memory: Memory, allowed: tuple[int, ...]) -> Usage:
        group = None if cgroups is None else cgroups.group(b"memory")
        if allowed == (number,):
            return memory.usage
        return Usage() if group is None or number not in allowed else readings.numa_usage(group, number, self._pages)

    def _host(self, number: int) -> Mapping[bytes, int]:
        """The node's meminfo in kB: its lines begin with `Node N`."""
        prefix = b"Node %d " % number
        return parse_meminfo(b"\n".join(line.removeprefix(prefix) for line in self._text(number, "meminfo").splitlines()))

    def _text(self, number: int, name: str) -> bytes:
        return read_text(f"{self._sys}/devices/system/node/node{number}/{name}")
