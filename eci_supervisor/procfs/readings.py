"""Cgroup files to values: which file of which version holds what. Reads through open groups only; formulas are elsewhere."""
from collections.abc import Callable, Mapping
from fractions import Fraction

from eci_supervisor.cgroup import parse
from eci_supervisor.cgroup.reader import Cgroups, Group, Level
from eci_supervisor.procfs import memory
from eci_supervisor.procfs.cpu import CpuUsage, PerCpu, Together

USEC_NS = 1000
NO_LIMIT = 1 << 62  # version 1 says LONG_MAX in whole pages for none


def memory_state(group: Group, host_total: int) -> tuple[list[memory.Level], memory.Usage]:
    """Limits and usage of the container's cgroup and of each ancestor; what its own is used for. Raises CgroupGone, ParseError."""
    texts = [group.own("memory.stat"), *(level.read("memory.stat") for level in group.levels[1:])]
    stats = [parse.flat(text or b"") for text in texts]
    if group.version == 2:
        levels = [unified_level(level, stat) for level, stat in zip(group.levels, stats, strict=True)]
        return levels, memory.usage(stats[0], 2, swap=levels[0].swap_current)
    levels = [legacy_level(level, stat, host_total) for level, stat in zip(group.levels, stats, strict=True)]
    return levels, memory.usage(stats[0], 1)


def unified_level(level: Level, stat: Mapping[bytes, int]) -> memory.Level:
    """Source: Documentation/admin-guide/cgroup-v2.rst. A level without the controller has no limit."""
    reclaimable = sum(stat.get(key, 0) for key in (b"active_file", b"inactive_file", b"slab_reclaimable"))
    return memory.Level(limit(level, "memory.max"), limit(level, "memory.high"), number(level, "memory.current"), reclaimable,
                        limit(level, "memory.swap.max"), number(level, "memory.swap.current"))


def legacy_level(level: Level, stat: Mapping[bytes, int], host_total: int) -> memory.Level:
    """Source: Documentation/admin-guide/cgroup-v1/memory.rst. No limit is a number near 2^63 there."""
    bound = legacy_limit(level, "memory.limit_in_bytes", host_total)
    # memsw counts memory and swap together; without a limit of memory there is none of swap.
    together = None if bound is None else limit(level, "memory.memsw.limit_in_bytes")
    swap = None if together is None or bound is None or together >= NO_LIMIT else max(0, together - bound)
    reclaimable = stat.get(b"total_active_file", 0) + stat.get(b"total_inactive_file", 0)
    return memory.Level(bound, None, number(level, "memory.usage_in_bytes"), reclaimable, swap, stat.get(b"total_swap", 0))


def legacy_limit(level: Level, name: str, host_total: int) -> int | None:
    value = limit(level, name)
    return None if value is None or value >= host_total else value


def swappiness(group: Group) -> int | None:
    """Version 1's; None on version 2, which has none."""
    text = group.own("memory.swappiness") if group.version == 1 else None
    return None if text is None else parse.number(text)


def huge_pages(group: Group | None, pool: memory.HugePages) -> memory.HugePages | None:
    """The pool within the container's hugetlb limits; None where it has no hugetlb controller."""
    if group is None or not pool.size:
        return None
    stem = f"hugetlb.{size_name(pool.size)}."
    limit_name, usage_name = ("max", "current") if group.version == 2 else ("limit_in_bytes", "usage_in_bytes")
    if all(level.read(stem + limit_name) is None for level in group.levels):
        return None
    limits = [value for level in group.levels if (value := limit(level, stem + limit_name)) is not None]
    return pool.within(min(limits, default=None), number(group.levels[0], stem + usage_name))


def size_name(size: int) -> str:
    """A page size as hugetlb's files are named: 64KB, 2MB, 1GB. Source: mem_fmt of mm/hugetlb_cgroup.c."""
    for shift, unit in ((30, "GB"), (20, "MB")):
        if size >= 1 << shift:
            return f"{size >> shift}{unit}"
    return f"{size >> 10}KB"


def cpu_set(cgroups: Cgroups, online: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """The CPUs the container may run on: the *effective* cpuset, never the requested one.

    The kernel keeps it within the online CPUs (kernel/cgroup/cpuset.c), so that those are asked for only without a cpuset.
    """
    group = cgroups.group(b"cpuset")
    text = None if group is None else group.nearest("cpuset.cpus.effective" if group.version == 2 else "cpuset.effective_cpus")
    return (() if text is None else parse.cpu_list(text)) or online()


def cpu_usage(cgroups: Cgroups) -> CpuUsage:
    """Busy time of the container's own cgroup; none where nothing counts it. Raises CgroupGone, ParseError."""
    group = cgroups.group(b"cpuacct")
    if group is None:
        return Together((0, 0, 0))
    if group.version == 2:
        stat = parse.flat(group.own("cpu.stat") or b"")
        nice = stat.get(b"nice_usec", 0)  # part of user_usec; since Linux 6.13
        return Together((max(0, stat.get(b"user_usec", 0) - nice) * USEC_NS, nice * USEC_NS, stat.get(b"system_usec", 0) * USEC_NS))
    if (text := group.own("cpuacct.usage_all")) is not None:
        return PerCpu(parse.usage_all(text))
    return PerCpu({cpu: (user, 0) for cpu, user in parse.usage_percpu(group.own("cpuacct.usage_percpu") or b"").items()})


def cpu_quota(cgroups: Cgroups) -> Fraction | None:
    """CPUs' worth of time, the least of all levels; None without a limit. Raises ParseError."""
    group = cgroups.group(b"cpu")
    if group is None:
        return None
    return min((quota for level in group.levels if (quota := level_quota(level, group.version)) is not None), default=None)


def level_quota(level: Level, version: int) -> Fraction | None:
    if version == 2:
        words = (level.read("cpu.max") or b"max 100000").split()
        return None if len(words) != 2 or words[0] == b"max" else Fraction(parse.number(words[0]), max(1, parse.number(words[1])))
    quota, period = number(level, "cpu.cfs_quota_us"), number(level, "cpu.cfs_period_us")
    return Fraction(quota, period) if quota > 0 and period > 0 else None


def spent_ns(cgroups: Cgroups) -> int:
    """Nanoseconds that tasks of the container ran or, where the kernel counts it, were held up. Raises CgroupGone, ParseError."""
    group = cgroups.group(b"cpuacct")
    if group is None:
        return 0
    if group.version == 1:
        return parse.number(group.own("cpuacct.usage") or b"0")
    busy_us = parse.flat(group.own("cpu.stat") or b"").get(b"usage_usec", 0)
    texts = (group.own(name) for name in ("cpu.pressure", "io.pressure"))
    return (busy_us + sum(parse.pressure_total(text) for text in texts if text)) * USEC_NS


def task_total(cgroups: Cgroups) -> int | None:
    """All tasks of the container; None where no controller counts them. Raises CgroupGone, ParseError."""
    group = cgroups.group(b"pids")
    text = None if group is None else group.own("pids.current")
    return None if text is None else parse.number(text)


def memory_nodes(cgroups: Cgroups, online: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """The memory nodes the container may use."""
    group = cgroups.group(b"cpuset")
    text = None if group is None else group.nearest("cpuset.mems.effective" if group.version == 2 else "cpuset.effective_mems")
    return (() if text is None else parse.cpu_list(text)) or online()


def numa_usage(group: Group, node: int, page_bytes: int) -> memory.Usage:
    """What the container uses of one node, as far as its version says. Raises CgroupGone, ParseError."""
    stat = {key: nodes.get(node, 0) for key, nodes in parse.numa_stat(group.own("memory.numa_stat") or b"").items()}
    if group.version == 2:
        return memory.usage(stat, 2)
    anon, file, unevictable = (stat.get(b"hierarchical_" + key, 0) * page_bytes for key in (b"anon", b"file", b"unevictable"))
    return memory.Usage(anon=anon, cached=file, unevictable=unevictable)


def limit(level: Level, name: str) -> int | None:
    text = level.read(name)
    return None if text is None else parse.limit(text)


def number(level: Level, name: str) -> int:
    return parse.number(level.read(name) or b"0")
