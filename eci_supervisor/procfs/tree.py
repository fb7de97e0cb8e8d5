"""The virtual nodes, as a literal that reads like /proc and /sys; and what covers a locked tree of each.

An inode number is given once and never to another node: a mount can outlive the server that gave it.
"""
import posixpath
from collections.abc import Iterable, Mapping, Sequence

from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.procfs.node import Dir, File, Node, Tunable, walk
from eci_supervisor.procfs.nodes import cpuinfo, cpus, loadavg, meminfo, numa, stat, swaps, sysctl, uptime
from eci_supervisor.procfs.numa import MOST as MOST_NODES

MEMORY_NODES = b"devices/system/node/"
PROC = Dir(2, {
    b"uptime": File(16, uptime.render),
    b"meminfo": File(17, meminfo.render),
    b"swaps": File(18, swaps.render),
    b"stat": File(256, stat.render),
    b"cpuinfo": File(257, cpuinfo.render),
    b"loadavg": File(258, loadavg.render),
    b"sys": Dir(32, {
        b"vm": Dir(33, {
            b"overcommit_memory": Tunable(64, sysctl.overcommit_memory),
        }),
    }),
})
SYS = Dir(3, {
    b"devices": Dir(272, {
        b"system": Dir(273, {
            b"cpu": Dir(274, {
                b"online": File(275, cpus.online),
                b"present": File(276, cpus.online),
                b"offline": File(277, cpus.offline),
            }),
            b"node": Dir(278, {b"node%d" % number: numa.directory(number, 320 + 4 * number) for number in range(MOST_NODES)}),
        }),
    }),
})
ROOT = Dir(1, {b"proc": PROC, b"sys": SYS})  # 1 is FUSE_ROOT_ID

NODES: Mapping[int, Node] = {ROOT.inode: ROOT, **{node.inode: node for _, node in walk(ROOT)}}
PATHS: Mapping[int, bytes] = {ROOT.inode: b"", **{node.inode: path for path, node in walk(ROOT)}}

# Masked in every container, privileged or not: what the host's other processes do, and where its kernel lies.
PROC_FLOOR = (b"interrupts", b"softirqs", b"schedstat", b"buddyinfo", b"zoneinfo", b"kallsyms")
SYS_FLOOR = (b"devices/virtual/powercap", b"kernel/slab")
# The kernel refuses a fresh procfs or sysfs only where a mounted one has a locked child over a regular file (mount_too_revealing):
# uptime and devices/system/cpu/online are always there, or masked.


def proc_plan(masked: Sequence[str], read_only: Sequence[str]) -> TreePlan:
    """What covers a procfs. Paths are the OCI spec's, absolute; those outside /proc are somebody else's and ignored."""
    return plan(TreeKind.PROC, PROC, [*PROC_FLOOR, *below("/proc", masked)], list(below("/proc", read_only)))


def sysfs_plan(masked: Sequence[str], read_only: Sequence[str], read_only_root: bool, memory_nodes: Sequence[int] = ()) -> TreePlan:
    """What covers a sysfs. `read_only_root`: the spec's own mount of /sys is read-only; `memory_nodes`: numa_family.host_nodes()."""
    absent = [MEMORY_NODES + b"node%d" % number for number in range(MOST_NODES) if number not in memory_nodes]
    return plan(TreeKind.SYSFS, SYS, [*SYS_FLOOR, *below("/sys", masked)],
                [*below("/sys", read_only), *([b""] if read_only_root else [])], absent)


def plan(kind: TreeKind, nodes: Dir, masked: list[bytes], read_only: list[bytes], absent: Sequence[bytes] = ()) -> TreePlan:
    """Read-only paths, then nodes, then masks; a path in both lists is masked. The path b"" is the tree itself.

    `absent`: nodes that this machine has no place for.
    """
    entries = [Entry(path, Cover.READONLY) for path in sorted(set(read_only)) if path and not within(path, masked)]
    for path, node in walk(nodes):
        # Under a read-only path the kernel's own file shows the same value, and EROFS is the kernel's.
        if isinstance(node, Dir) or within(path, [*masked, *absent]) or (isinstance(node, Tunable) and within(path, read_only)):
            continue
        entries.append(Entry(path, Cover.NODE, node.inode))
    entries.extend(Entry(path, Cover.MASK) for path in sorted(set(masked)) if not within(posixpath.dirname(path), masked))
    return TreePlan(kind, tuple(entries), read_only=b"" in read_only)


def within(path: bytes, tops: Iterable[bytes]) -> bool:
    """Whether `path` is one of `tops` or below one; b"" has everything below it."""
    return any(not top or path == top or path.startswith(top + b"/") for top in tops)


def below(root: str, paths: Sequence[str]) -> Iterable[bytes]:
    """Those of `paths` that are `root` (b"") or below it, relative to it."""
    for path in paths:
        whole = posixpath.normpath(path)
        if whole == root or whole.startswith(root + "/"):
            yield whole[len(root) + 1:].encode("utf-8", "surrogateescape")
