"""/proc/swaps: one line for all swap the container may use, none where it may use none. Source: swap_show of mm/swapfile.c."""
from eci_supervisor.procfs.memory import KIB
from eci_supervisor.procfs.sample import Sample

HEADER = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
NAME = b"none"
NAME_WIDTH = 40


def render(sample: Sample) -> bytes:
    memory = sample.memory
    total = memory.swap_total // KIB
    if not total:
        return HEADER
    return HEADER + b"%-*s" % (NAME_WIDTH, NAME) + b"virtual\t\t%d\t%d\t0\n" % (total, total - memory.swap_free // KIB)
