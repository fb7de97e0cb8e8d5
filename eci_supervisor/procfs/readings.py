"""Cgroup files to values: which file of which version holds what. Reads through open groups only; formulas are elsewhere."""
from collections.abc import Callable, Mapping

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
        return Together(0)
    if group.version == 2:
        stat = parse.flat(group.own("cpu.stat") or b"")
        return Together((stat.get(b"user_usec", 0) + stat.get(b"system_usec", 0)) * USEC_NS)
    if (text := group.own("cpuacct.usage_all")) is not None:
        return PerCpu(parse.usage_all(text))
    return PerCpu(parse.usage_percpu(group.own("cpuacct.usage_percpu") or b""))


def limit(level: Level, name: str) -> int | None:
    text = level.read(name)
    return None if text is None else parse.limit(text)


def number(level: Level, name: str) -> int:
    return parse.number(level.read(name) or b"0")
