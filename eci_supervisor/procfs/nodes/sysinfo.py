"""sysinfo(2), which is no file and tells what three of them tell. Source: do_sysinfo of kernel/sys.c."""
from eci_supervisor.model.machine import MachineInfo
from eci_supervisor.procfs.load import SHIFT
from eci_supervisor.procfs.sample import Sample

SECOND_NS = 1_000_000_000
LOADS_SHIFT = 16 - SHIFT
MOST_TASKS = 65535


def render(sample: Sample, until_ns: int) -> MachineInfo:
    """`until_ns`: the end of the sample's life, CLOCK_MONOTONIC."""
    memory, load = sample.memory, sample.load
    one, five, fifteen = (average << LOADS_SHIFT for average in load.averages)
    return MachineInfo(
        until_ns=until_ns, uptime_s=-(-sample.uptime_ns // SECOND_NS), loads=(one, five, fifteen),
        memory=(memory.total, memory.free, memory.usage.shmem, 0, memory.swap_total, memory.swap_free),
        tasks=min(load.tasks, MOST_TASKS),
    )
