"""What a container has of each memory node of the machine. Pure."""
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eci_supervisor.procfs.memory import Memory, Usage, clamp

MOST = 8  # a machine with more keeps the kernel's own files


@dataclass(frozen=True, slots=True)
class NumaNode:
    """cpus, mask: the host's, the mask as it is written; memory: the container's part of this node, its host the node's own meminfo."""

    cpus: tuple[int, ...]
    mask: bytes
    memory: Memory


def part(memory: Memory, host: Mapping[bytes, int], usage: Usage, share: int, whole: int) -> Memory:
    """`share` of `whole` of a container's memory; what is used there is what its usage says."""
    total = memory.total * share // whole
    if share == whole:
        free = memory.free
    else:
        used = usage.anon + usage.cached + usage.slab + usage.kernel_stack + usage.page_tables
        free = clamp(min(memory.free, total - used), total)
    pages = memory.huge if share == whole else replace(memory.huge, total=min(memory.huge.total, host.get(b"HugePages_Total", 0)),
                                                       free=min(memory.huge.free, host.get(b"HugePages_Free", 0)))
    return replace(memory, host=replace(memory.host, values=host), total=total, free=free, available=free, usage=usage, huge=pages)


