"""Cgroup files to values: which file of which version holds what. Reads through open groups only; formulas are elsewhere."""
from eci_supervisor.cgroup import parse
from eci_supervisor.cgroup.reader import Cgroups, Group, Level
from eci_supervisor.procfs import memory
from eci_supervisor.procfs.cpu import CpuUsage, PerCpu, Together

USEC_NS = 1000


def memory_levels(group: Group, host_total: int) -> list[memory.Level]:
    """Limits and usage of the container's cgroup and of each ancestor. Raises CgroupGone, ParseError."""
    group.own("memory.stat")  # where the cgroup is gone, say so instead of "no limit"
    if group.version == 2:
        return [unified_level(level) for level in group.levels]
    return [legacy_level(level, host_total) for level in group.levels]


def unified_level(level: Level) -> memory.Level:
    """Source: Documentation/admin-guide/cgroup-v2.rst. A level without the controller has no limit."""
    stat = parse.flat(level.read("memory.stat") or b"")
    reclaimable = sum(stat.get(key, 0) for key in (b"active_file", b"inactive_file", b"slab_reclaimable"))
    return memory.Level(limit(level, "memory.max"), limit(level, "memory.high"), number(level, "memory.current"), reclaimable,
                        limit(level, "memory.swap.max"), number(level, "memory.swap.current"))


def legacy_level(level: Level, host_total: int) -> memory.Level:
    """Source: Documentation/admin-guide/cgroup-v1/memory.rst. No limit is a number near 2^63 there."""
    stat = parse.flat(level.read("memory.stat") or b"")
    bound = legacy_limit(level, "memory.limit_in_bytes", host_total)
    # memsw counts memory and swap together. At or above any amount the machine could have, it is no limit.
    together = limit(level, "memory.memsw.limit_in_bytes")
    swap = together - bound if together is not None and together < 1 << 62 and bound is not None else None
    reclaimable = stat.get(b"total_active_file", 0) + stat.get(b"total_inactive_file", 0)
    return memory.Level(bound, None, number(level, "memory.usage_in_bytes"), reclaimable,
                        None if swap is None else max(0, swap), stat.get(b"total_swap", 0))


def legacy_limit(level: Level, name: str, host_total: int) -> int | None:
    value = limit(level, name)
    return None if value is None or value >= host_total else value


def memory_usage(group: Group) -> memory.Usage:
    """What the container's own cgroup uses; nothing where it lacks the controller. Raises CgroupGone, ParseError."""
    stat = parse.flat(group.own("memory.stat") or b"")
    swap = parse.number(group.own("memory.swap.current") or b"0") if group.version == 2 else None
    return memory.usage(stat, group.version, swap)


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


def cpu_set(cgroups: Cgroups, online: tuple[int, ...]) -> tuple[int, ...]:
    """The CPUs the container may run on: the *effective* cpuset, never the requested one. All online ones without a cpuset."""
    group = cgroups.group(b"cpuset")
    text = None if group is None else group.nearest("cpuset.cpus.effective" if group.version == 2 else "cpuset.effective_cpus")
    allowed = () if text is None else parse.cpu_list(text)
    return tuple(cpu for cpu in allowed if cpu in online) or online


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
