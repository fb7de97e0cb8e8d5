"""/sys/devices/system/node/nodeN/{cpulist,cpumap,meminfo}. Source: drivers/base/node.c."""
from collections.abc import Callable

from eci_supervisor.procfs.cpu_view import list_text, mask_text
from eci_supervisor.procfs.memory import KIB
from eci_supervisor.procfs.node import Dir, File
from eci_supervisor.procfs.nodes import meminfo
from eci_supervisor.procfs.numa import NumaNode
from eci_supervisor.procfs.sample import Sample


def directory(number: int, inode: int) -> Dir:
    """Node `number`'s files; `inode` is the first of four."""
    return Dir(inode, {
        b"cpulist": File(inode + 1, of(number, cpulist)),
        b"cpumap": File(inode + 2, of(number, cpumap)),
        b"meminfo": File(inode + 3, lambda sample: memory(number, sample.numa[number])),
    })


def of(number: int, text: Callable[[Sample, NumaNode], bytes]) -> Callable[[Sample], bytes]:
    return lambda sample: text(sample, sample.numa[number])


def cpulist(sample: Sample, node: NumaNode) -> bytes:
    return list_text([cpu for cpu in node.cpus if cpu in sample.cpu.shown])


def cpumap(sample: Sample, node: NumaNode) -> bytes:
    return mask_text(node.mask, sample.cpu.shown)


def memory(number: int, node: NumaNode) -> bytes:
    return b"".join(line(number, key, node) for key in node.memory.host.values)


def line(number: int, key: bytes, node: NumaNode) -> bytes:
    """As in /proc/meminfo, but for three keys of its own."""
    of_node = node.memory
    match key:
        case b"MemUsed":
            value = (of_node.total - of_node.free) // KIB
        case b"FilePages":
            value = of_node.usage.cached // KIB
        case _:
            value = meminfo.KEYS[key](of_node) if key in meminfo.KEYS else 0
    if key.startswith(meminfo.COUNTS):
        return b"Node %d %-17s%5d\n" % (number, key + b":", value)
    return b"Node %d %-16s%8d kB\n" % (number, key + b":", value)
