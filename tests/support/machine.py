"""A machine in a directory: procfs, sysfs and cgroup hierarchies as files, read by the same code as the real ones.

Its shape is held against the real thing by tests/kernel/test_memory_cgroup.py.
"""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
UNLIMITED = 9223372036854771712  # what version 1 says for no limit: LONG_MAX in whole pages
HOST_MEMINFO = """MemTotal:        8388608 kB
MemFree:         4194304 kB
MemAvailable:    6291456 kB
Buffers:           99999 kB
Cached:          1048576 kB
SwapCached:            7 kB
Dirty:               555 kB
AnonPages:        777777 kB
AnonHugePages:      4444 kB
KReclaimable:     333333 kB
SwapTotal:       2097152 kB
SwapFree:        1048576 kB
CommitLimit:     6291456 kB
Committed_AS:    5555555 kB
VmallocTotal:   34359738367 kB
Percpu:             4242 kB
HugePages_Total:      16
HugePages_Free:        8
HugePages_Rsvd:        3
Hugepagesize:       2048 kB
Hugetlb:           32768 kB
SomethingNew:      98765 kB
DirectMap4k:       28672 kB
DirectMap2M:     2068480 kB
"""
NODE_MEMINFO = """Node 0 MemTotal:        8388608 kB
Node 0 MemFree:         4194304 kB
Node 0 MemUsed:         4194304 kB
Node 0 FilePages:       1048576 kB
Node 0 AnonPages:        777777 kB
Node 0 HugePages_Total:    16
Node 0 HugePages_Free:      8
"""
CPUINFO = "".join(f"""processor\t: {cpu}
cpu MHz\t\t: 2596.13{cpu}
physical id\t: 0
siblings\t: 2
core id\t\t: {cpu}
cpu cores\t: 2
flags\t\t: fpu vme

""" for cpu in range(2))
STAT = "1234 (a) b (c) S 1 1234 1234 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1000 100 18446744073709551615 0\n"
PID = 1234


@dataclass(frozen=True)
class Machine:
    """`top` holds proc, sys and the hierarchies' mount points."""

    top: Path

    @property
    def proc(self) -> str:
        return str(self.top / "proc")

    @property
    def sys(self) -> str:
        return str(self.top / "sys")

    def write(self, path: str, text: str | int) -> None:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n" if isinstance(text, int) else text)

    def cgroup(self, path: str, files: Mapping[str, str | int]) -> None:
        """Files of one cgroup, `path` from `top`; every cgroup has cgroup.procs."""
        for name, text in {"cgroup.procs": "", **files}.items():
            self.write(f"{path}/{name}", text)

    def process(self, memberships: str, mounts: list[tuple[str, str, str]], ticks: int = 100) -> None:
        """The container's init: /proc/PID/cgroup, and (point, type, options) of the hierarchies it is in."""
        self.write(f"proc/{PID}/cgroup", memberships)
        self.write(f"proc/{PID}/stat", STAT.format(ticks=ticks))
        self.task(PID, "S", 1)
        lines = ["22 27 0:21 / /proc rw,relatime - proc proc rw"]
        lines += [f"3{n} 22 0:3{n} / {self.top / point} rw - {kind} {kind} {options}" for n, (point, kind, options) in enumerate(mounts)]
        self.write("proc/self/mountinfo", "\n".join(lines) + "\n")

    def task(self, tid: int, state: str, inner: int) -> None:
        """A thread that the container, one pid namespace down, calls `inner`."""
        self.write(f"proc/{tid}/task/{tid}/stat", f"{tid} (a) R (b) {state} 1 1 1 0 -1\n")
        self.write(f"proc/{tid}/status", f"Name:\ta\nNSpid:\t{tid}\t{inner}\n")


def machine(top: Path, meminfo: str = HOST_MEMINFO) -> Machine:
    """One with two CPUs and 8 GiB, and no cgroup yet."""
    made = Machine(top)
    made.write("proc/meminfo", meminfo)
    made.write("proc/sys/vm/overcommit_ratio", 50)
    made.write("proc/sys/vm/overcommit_kbytes", 0)
    for name, text in {"online": "0-1\n", "possible": "0-3\n"}.items():
        made.write(f"sys/devices/system/cpu/{name}", text)
    for name, text in {"cpulist": "0-1\n", "cpumap": "3\n", "meminfo": NODE_MEMINFO}.items():
        made.write(f"sys/devices/system/node/node0/{name}", text)
    made.write("proc/cpuinfo", CPUINFO)
    return made


def stat_text(**values: int) -> str:
    return "".join(f"{key} {value}\n" for key, value in values.items())


def unified(top: Path) -> Machine:
    """Version 2: /pod limited to 400 MiB, /pod/web to 600 MiB, using 100."""
    made = machine(top)
    made.process("0::/pod/web\n", [("cg", "cgroup2", "rw,nsdelegate")])
    made.cgroup("cg", {"cpuset.cpus.effective": "0-1\n"})
    stat = stat_text(anon=60 * MIB, file=30 * MIB, file_mapped=5 * MIB, shmem=MIB, file_dirty=2 * MIB, active_file=10 * MIB,
                     inactive_file=20 * MIB, active_anon=40 * MIB, inactive_anon=20 * MIB, slab_reclaimable=4 * MIB,
                     slab_unreclaimable=MIB, slab=5 * MIB, percpu=65536, pagetables=131072, unevictable=0)
    common: dict[str, str | int] = {"memory.stat": stat, "memory.high": "max\n", "memory.swap.current": 8 * MIB}
    made.cgroup("cg/pod", {**common, "memory.max": 400 * MIB, "memory.current": 150 * MIB, "memory.swap.max": "max\n",
                           "cpuset.cpus.effective": "1\n"})
    made.cgroup("cg/pod/web", {**common, "memory.max": 600 * MIB, "memory.current": 100 * MIB, "memory.swap.max": 256 * MIB,
                               "cpu.stat": "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n"})
    return made


def legacy(top: Path) -> Machine:
    """Version 1, each controller mounted by itself: 64 MiB of memory, 96 with swap; both CPUs asked for, one given."""
    made = machine(top)
    controllers = ("memory", "cpuset", "cpuacct")
    made.process("".join(f"{n}:{name}:/docker/c1\n" for n, name in enumerate(controllers, 2)) + "1:name=systemd:/docker/c1\n",
                 [(name, "cgroup", f"rw,{name}") for name in controllers])
    stat = stat_text(cache=1, rss=2, total_cache=30 * MIB, total_rss=20 * MIB, total_rss_huge=2 * MIB, total_shmem=MIB,
                     total_mapped_file=5 * MIB, total_dirty=2 * MIB, total_swap=4 * MIB, total_swapcached=MIB,
                     total_active_file=10 * MIB, total_inactive_file=19 * MIB)
    made.cgroup("memory/docker", {"memory.limit_in_bytes": UNLIMITED, "memory.usage_in_bytes": 50 * MIB, "memory.stat": stat,
                                  "memory.memsw.limit_in_bytes": UNLIMITED})
    made.cgroup("memory/docker/c1", {"memory.limit_in_bytes": 64 * MIB, "memory.usage_in_bytes": 50 * MIB, "memory.stat": stat,
                                     "memory.memsw.limit_in_bytes": 96 * MIB, "memory.swappiness": 60})
    made.cgroup("cpuset/docker", {"cpuset.effective_cpus": "1\n"})
    made.cgroup("cpuset/docker/c1", {"cpuset.cpus": "0-1\n", "cpuset.effective_cpus": "1\n"})
    made.cgroup("cpuacct/docker", {})
    made.cgroup("cpuacct/docker/c1", {"cpuacct.usage_all": "cpu user system\n0 0 0\n1 1500000000 500000000\n"})
    return made


def hybrid(top: Path) -> Machine:
    """Memory in version 2, the CPU controllers in version 1."""
    made = unified(top)
    made.process("3:cpuset:/c1\n2:cpu,cpuacct:/c1\n0::/pod/web\n",
                 [("cg", "cgroup2", "rw"), ("cpuset", "cgroup", "rw,cpuset"), ("cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")])
    made.cgroup("cpuset/c1", {"cpuset.effective_cpus": "0\n"})
    made.cgroup("cpu,cpuacct/c1", {"cpuacct.usage_all": "cpu user system\n0 1000000000 0\n1 0 0\n"})
    return made
