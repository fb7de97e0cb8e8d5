"""/proc/vmstat: the host's keys with the container's counts, 0 where none is kept. Source: mm/vmstat.c, mm/memcontrol.c."""
import mmap
from collections.abc import Callable

from eci_supervisor.procfs.memory import KIB, Memory
from eci_supervisor.procfs.sample import Sample

PAGES: dict[bytes, Callable[[Memory], int]] = {  # bytes
    b"nr_free_pages": lambda m: m.free,
    b"nr_inactive_anon": lambda m: m.usage.inactive_anon,
    b"nr_active_anon": lambda m: m.usage.active_anon,
    b"nr_inactive_file": lambda m: m.usage.inactive_file,
    b"nr_active_file": lambda m: m.usage.active_file,
    b"nr_zone_inactive_anon": lambda m: m.usage.inactive_anon,
    b"nr_zone_active_anon": lambda m: m.usage.active_anon,
    b"nr_zone_inactive_file": lambda m: m.usage.inactive_file,
    b"nr_zone_active_file": lambda m: m.usage.active_file,
    b"nr_unevictable": lambda m: m.usage.unevictable,
    b"nr_zone_unevictable": lambda m: m.usage.unevictable,
    b"nr_mlock": lambda m: m.usage.unevictable,
    b"nr_anon_pages": lambda m: m.usage.anon,
    b"nr_mapped": lambda m: m.usage.mapped,
    b"nr_file_pages": lambda m: m.usage.cached,
    b"nr_dirty": lambda m: m.usage.dirty,
    b"nr_writeback": lambda m: m.usage.writeback,
    b"nr_shmem": lambda m: m.usage.shmem,
    b"nr_slab_reclaimable": lambda m: m.usage.slab_reclaimable,
    b"nr_slab_unreclaimable": lambda m: m.usage.slab_unreclaimable,
    b"nr_page_table_pages": lambda m: m.usage.page_tables,
    b"nr_swapcached": lambda m: m.usage.swap_cached,
}


def render(sample: Sample) -> bytes:
    return b"".join(b"%s %d\n" % (key, value(key, sample)) for key in sample.vmstat_keys)


def value(key: bytes, sample: Sample) -> int:
    if key in PAGES:
        return PAGES[key](sample.memory) // mmap.PAGESIZE
    if key == b"pgpgin":
        return sum(disk.read_bytes for disk in sample.disks) // KIB
    if key == b"pgpgout":
        return sum(disk.written_bytes for disk in sample.disks) // KIB
    # A gauge of memory.stat is in bytes, and the kernel's names for those do not begin so.
    return 0 if key.startswith(b"nr_") else sample.events.counts.get(key, 0)
