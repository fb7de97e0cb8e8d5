"""/proc/meminfo: the container's memory in the host's keys and order. Source: fs/proc/meminfo.c."""
from collections.abc import Callable

from eci_supervisor.procfs.memory import KIB, Memory
from eci_supervisor.procfs.sample import Sample

# kB by key, but counts for HugePages_*. A key that is not here is 0: never the host's value by accident. DirectMap* is left out
# altogether, as on architectures that have none: it tells the host's memory.
KEYS: dict[bytes, Callable[[Memory], int]] = {
    b"MemTotal": lambda m: m.total // KIB,
    b"MemFree": lambda m: m.free // KIB,
    b"MemAvailable": lambda m: m.available // KIB,
    b"Cached": lambda m: m.usage.cached // KIB,
    b"SwapCached": lambda m: min(m.usage.swap_cached, m.swap_total) // KIB,
    b"Active": lambda m: (m.usage.active_anon + m.usage.active_file) // KIB,
    b"Inactive": lambda m: (m.usage.inactive_anon + m.usage.inactive_file) // KIB,
    b"Active(anon)": lambda m: m.usage.active_anon // KIB,
    b"Inactive(anon)": lambda m: m.usage.inactive_anon // KIB,
    b"Active(file)": lambda m: m.usage.active_file // KIB,
    b"Inactive(file)": lambda m: m.usage.inactive_file // KIB,
    b"Unevictable": lambda m: m.usage.unevictable // KIB,
    b"Mlocked": lambda m: m.usage.unevictable // KIB,
    b"SwapTotal": lambda m: m.swap_total // KIB,
    b"SwapFree": lambda m: m.swap_free // KIB,
    b"Zswap": lambda m: m.usage.zswap // KIB,
    b"Zswapped": lambda m: m.usage.zswapped // KIB,
    b"Dirty": lambda m: m.usage.dirty // KIB,
    b"Writeback": lambda m: m.usage.writeback // KIB,
    b"AnonPages": lambda m: m.usage.anon // KIB,
    b"Mapped": lambda m: m.usage.mapped // KIB,
    b"Shmem": lambda m: m.usage.shmem // KIB,
    b"KReclaimable": lambda m: m.usage.slab_reclaimable // KIB,
    b"Slab": lambda m: m.usage.slab // KIB,
    b"SReclaimable": lambda m: m.usage.slab_reclaimable // KIB,
    b"SUnreclaim": lambda m: m.usage.slab_unreclaimable // KIB,
    b"KernelStack": lambda m: m.usage.kernel_stack // KIB,
    b"PageTables": lambda m: m.usage.page_tables // KIB,
    b"SecPageTables": lambda m: m.usage.sec_page_tables // KIB,
    b"CommitLimit": lambda m: m.commit_limit // KIB,
    b"Committed_AS": lambda m: (m.usage.anon + m.usage.shmem + m.usage.swap) // KIB,
    b"VmallocTotal": lambda m: m.host.values.get(b"VmallocTotal", 0),
    b"VmallocUsed": lambda m: m.usage.vmalloc // KIB,
    b"VmallocChunk": lambda m: m.host.values.get(b"VmallocChunk", 0),
    b"Percpu": lambda m: m.usage.percpu // KIB,
    b"AnonHugePages": lambda m: m.usage.anon_huge // KIB,
    b"ShmemHugePages": lambda m: m.usage.shmem_huge // KIB,
    b"FileHugePages": lambda m: m.usage.file_huge // KIB,
    b"HugePages_Total": lambda m: m.huge.total,
    b"HugePages_Free": lambda m: m.huge.free,
    b"Hugepagesize": lambda m: m.host.values.get(b"Hugepagesize", 0),
    b"Hugetlb": lambda m: m.hugetlb // KIB,
}
OMITTED = b"DirectMap"
COUNTS = b"HugePages_"  # without a unit, and narrower


def render(sample: Sample) -> bytes:
    memory = sample.memory
    return b"".join(line(key, memory) for key in memory.host.values if not key.startswith(OMITTED))


def line(key: bytes, memory: Memory) -> bytes:
    value = KEYS[key](memory) if key in KEYS else 0
    if key.startswith(COUNTS):
        return b"%-19s%5d\n" % (key + b":", value)
    return b"%-16s%8d kB\n" % (key + b":", value)
