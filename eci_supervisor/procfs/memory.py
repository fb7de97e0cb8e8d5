"""A container's memory, from the host's and its cgroups'. Pure: texts in, one Memory out.

Limits are the minimum over the container's cgroup, all its ancestors and the host; usage is that of its own cgroup. Everything is in
bytes, saturates at 0 and is clamped at the total, so that 0 <= free <= available <= total <= host's total whatever the sources say.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eci_supervisor.cgroup.parse import ParseError

KIB = 1024
SMALLEST_TOTAL = 4 * KIB  # a total of 0 is divided by


@dataclass(frozen=True, slots=True)
class HostMemory:
    """The host's /proc/meminfo: kilobytes (or counts) by key, in its order; and two sysctls about overcommitment."""

    values: Mapping[bytes, int]
    overcommit_ratio: int = 50
    overcommit_kbytes: int = 0

    def bytes_of(self, key: bytes) -> int:
        """The value of a key in kB, as bytes; 0 where the host has no such key."""
        return self.values.get(key, 0) * KIB


@dataclass(frozen=True, slots=True)
class Level:
    """One cgroup's limits (None: none) and what they are held against. `reclaimable`: file pages and reclaimable slab."""

    limit: int | None = None
    high: int | None = None
    current: int = 0
    reclaimable: int = 0
    swap_limit: int | None = None
    swap_current: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup's memory is used for, whichever version said so."""

    cached: int = 0
    swap_cached: int = 0
    active_anon: int = 0
    inactive_anon: int = 0
    active_file: int = 0
    inactive_file: int = 0
    unevictable: int = 0
    anon: int = 0
    mapped: int = 0
    shmem: int = 0
    dirty: int = 0
    writeback: int = 0
    anon_huge: int = 0
    shmem_huge: int = 0
    file_huge: int = 0
    slab_reclaimable: int = 0
    slab_unreclaimable: int = 0
    slab: int = 0
    kernel_stack: int = 0
    page_tables: int = 0
    sec_page_tables: int = 0
    percpu: int = 0
    vmalloc: int = 0
    zswap: int = 0
    zswapped: int = 0
    swap: int = 0


# Keys of memory.stat: version 2 (recursive by nature), version 1 (the recursive ones; "" where it has none). mm/memcontrol.c
STAT_KEYS: dict[str, tuple[bytes, bytes]] = {
    "cached": (b"file", b"total_cache"),
    "swap_cached": (b"swapcached", b"total_swapcached"),
    "active_anon": (b"active_anon", b"total_active_anon"),
    "inactive_anon": (b"inactive_anon", b"total_inactive_anon"),
    "active_file": (b"active_file", b"total_active_file"),
    "inactive_file": (b"inactive_file", b"total_inactive_file"),
    "unevictable": (b"unevictable", b"total_unevictable"),
    "anon": (b"anon", b"total_rss"),
    "mapped": (b"file_mapped", b"total_mapped_file"),
    "shmem": (b"shmem", b"total_shmem"),
    "dirty": (b"file_dirty", b"total_dirty"),
    "writeback": (b"file_writeback", b"total_writeback"),
    "anon_huge": (b"anon_thp", b"total_rss_huge"),
    "shmem_huge": (b"shmem_thp", b""),
    "file_huge": (b"file_thp", b""),
    "slab_reclaimable": (b"slab_reclaimable", b""),
    "slab_unreclaimable": (b"slab_unreclaimable", b""),
    "slab": (b"slab", b""),
    "kernel_stack": (b"kernel_stack", b""),
    "page_tables": (b"pagetables", b""),
    "sec_page_tables": (b"sec_pagetables", b""),
    "percpu": (b"percpu", b""),
    "vmalloc": (b"vmalloc", b""),
    "zswap": (b"zswap", b""),
    "zswapped": (b"zswapped", b""),
    "swap": (b"", b"total_swap"),
}


@dataclass(frozen=True, slots=True)
class HugePages:
    """The pool of the host's default huge page size: counts, and the size in bytes."""

    total: int = 0
    free: int = 0
    size: int = 0

    def within(self, limit: int | None, current: int) -> "HugePages":
        """What a hugetlb limit and usage (bytes) leave of it."""
        total = self.total if limit is None or not self.size else min(self.total, limit // self.size)
        used = current // self.size if self.size else 0
        return HugePages(total, max(0, min(self.free, total - used)), self.size)


@dataclass(frozen=True, slots=True)
class Memory:
    """One moment's memory of a container, in bytes. hugetlb_kib is of all page sizes where no limit narrows it."""

    host: HostMemory
    total: int
    available: int
    free: int
    swap_total: int
    swap_free: int
    usage: Usage
    huge: HugePages
    hugetlb: int

    @property
    def commit_limit(self) -> int:
        host = self.host
        if host.overcommit_kbytes:
            return host.overcommit_kbytes * KIB + self.swap_total
        return max(0, self.total - self.hugetlb) * host.overcommit_ratio // 100 + self.swap_total


def usage(stat: Mapping[bytes, int], version: int, swap: int | None = None) -> Usage:
    """Usage from memory.stat; `swap` overrides what it says (version 2 keeps memory.swap.current)."""
    fields = {field: stat.get(keys[version == 1], 0) for field, keys in STAT_KEYS.items()}
    if swap is not None:
        fields["swap"] = swap
    return Usage(**fields)


def memory(host: HostMemory, levels: Sequence[Level], used: Usage, *, huge: HugePages | None = None, swap_hidden: bool = False,
           swappiness: int | None = None) -> Memory:
    """`levels` begins with the container's own cgroup; without any, the host's totals are the limits.

    `huge`: the pool within the container's hugetlb limit, None where no such controller is; `swappiness` is version 1's.
    """
    current = levels[0].current if levels else 0
    host_total = host.bytes_of(b"MemTotal")
    total = max(SMALLEST_TOTAL, least(host_total, *(level.limit for level in levels)))
    available = clamp(least(total, host.bytes_of(b"MemAvailable"), *(promise(level) for level in levels)), total)
    free = clamp(least(available, total - current, *(left(level.limit, level.current) for level in levels)), available)
    swap_total, swap_free = (0, 0) if swap_hidden else swap(host, levels, used.swap, swappiness)
    pool = huge if huge is not None else host_huge_pages(host)
    hugetlb = huge.total * huge.size if huge is not None else host.bytes_of(b"Hugetlb")
    return Memory(host, total, available, free, swap_total, swap_free, used, pool, hugetlb)


def swap(host: HostMemory, levels: Sequence[Level], used: int, swappiness: int | None) -> tuple[int, int]:
    """SwapTotal and SwapFree. Version 1 with swappiness 0 swaps nothing any more: what is used is all there is."""
    total = least(host.bytes_of(b"SwapTotal"), *(level.swap_limit for level in levels))
    if swappiness == 0:
        total = min(total, used)
    bounds = (left(level.swap_limit, level.swap_current) for level in levels)
    return total, clamp(least(total - used, host.bytes_of(b"SwapFree"), *bounds), total)


def host_huge_pages(host: HostMemory) -> HugePages:
    values = host.values
    return HugePages(values.get(b"HugePages_Total", 0), values.get(b"HugePages_Free", 0), host.bytes_of(b"Hugepagesize"))


def least(first: int, *others: int | None) -> int:
    """The minimum of those that are given."""
    return min(first, *(value for value in others if value is not None), first)


def left(limit: int | None, current: int) -> int | None:
    return None if limit is None else max(0, limit - current)


def promise(level: Level) -> int | None:
    """What the container could still get below this level's limit, dropping its caches."""
    bound = min((value for value in (level.limit, level.high) if value is not None), default=None)
    return None if bound is None else max(0, bound - level.current + level.reclaimable)


def clamp(value: int, top: int) -> int:
    return max(0, min(value, top))


def parse_meminfo(text: bytes) -> dict[bytes, int]:
    """/proc/meminfo: value by key, in order. Raises ParseError with the line for any other shape."""
    values: dict[bytes, int] = {}
    for line in text.splitlines():
        key, colon, rest = line.partition(b":")
        words = rest.split()
        if not colon or not words or not words[0].isdigit():
            raise ParseError(f"/proc/meminfo: {line!r}")
        values[key] = int(words[0])
    return values
