"""sysinfo(2), which is no file and tells what three of them tell. Source: do_sysinfo and compat_sys_sysinfo of kernel/sys.c."""
import struct

from eci_supervisor.model.machine import MachineInfo
from eci_supervisor.procfs.load import SHIFT
from eci_supervisor.procfs.sample import Sample

SECOND_NS = 1_000_000_000
LOADS_SHIFT = 16 - SHIFT
MOST_TASKS = 65535
PAGE_SHIFT = 12
# uptime, loads, memory, procs, memory beyond the 32-bit kernel's direct map (none), the unit of memory
WIDE = struct.Struct("=q3Q6QH6x2QI4x")
NARROW = struct.Struct("=i3I6IH2x2II8x")


def render(sample: Sample, until_ns: int) -> MachineInfo:
    """`until_ns`: the end of the sample's life, CLOCK_MONOTONIC."""
    memory, load = sample.memory, sample.load
    uptime_s = -(-sample.uptime_ns // SECOND_NS)  # rounded up
    loads = [average << LOADS_SHIFT for average in load.averages]
    sizes = (memory.total, memory.free, memory.usage.shmem, 0, memory.swap_total, memory.swap_free)
    tasks = min(load.tasks, MOST_TASKS)
    # Once a total does not fit into 32 bits the sizes of a 32-bit caller are in pages.
    shift = PAGE_SHIFT if (memory.total | memory.swap_total) >> 32 else 0
    return MachineInfo(until_ns, wide=WIDE.pack(uptime_s, *loads, *sizes, tasks, 0, 0, 1),
                       narrow=NARROW.pack(uptime_s, *loads, *(low(size >> shift) for size in sizes), tasks, 0, 0, 1 << shift))


def low(value: int) -> int:
    """As a cast to 32 bits."""
    return value & 0xFFFFFFFF
