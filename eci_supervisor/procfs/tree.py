"""The virtual nodes, as a literal that reads like /proc and /sys; and what covers a locked tree of each.

An inode number is given once and never to another node: a mount can outlive the server that gave it.
"""
import posixpath
from collections.abc import Iterable, Mapping, Sequence

from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.procfs.node import Dir, File, Node, Tunable, walk
from eci_supervisor.procfs.nodes import meminfo, swaps, sysctl, uptime

PROC = Dir(2, {
    b"uptime": File(16, uptime.render),
    b"meminfo": File(17, meminfo.render),
    b"swaps": File(18, swaps.render),
    b"sys": Dir(32, {
        b"vm": Dir(33, {
            b"overcommit_memory": Tunable(64, sysctl.overcommit_memory),
        }),
    }),
})
SYS = Dir(3, {})
ROOT = Dir(1, {b"proc": PROC, b"sys": SYS})  # 1 is FUSE_ROOT_ID

NODES: Mapping[int, Node] = {ROOT.inode: ROOT, **{node.inode: node for _, node in walk(ROOT)}}
PATHS: Mapping[int, bytes] = {ROOT.inode: b"", **{node.inode: path for path, node in walk(ROOT)}}

# Masked in every container, privileged or not: what the host's other processes do, and where its kernel lies.
PROC_FLOOR = (b"interrupts", b"softirqs", b"schedstat", b"buddyinfo", b"zoneinfo", b"kallsyms")
SYS_FLOOR = (b"devices/virtual/powercap", b"kernel/slab")
# The kernel refuses a fresh procfs or sysfs only where a mounted one has a locked child over a regular file (mount_too_revealing).
SYS_LOCKED_CHILD = b"devices/system/cpu/online"


def proc_plan(masked: Sequence[str], read_only: Sequence[str]) -> TreePlan:
    """What covers a procfs. Paths are the OCI spec's, absolute; those outside /proc are somebody else's and ignored."""
    return plan(TreeKind.PROC, PROC, [*PROC_FLOOR, *below("/proc", masked)], list(below("/proc", read_only)), None)


def sysfs_plan(masked: Sequence[str], read_only: Sequence[str], read_only_root: bool) -> TreePlan:
    """What covers a sysfs. `read_only_root`: the spec's own mount of /sys is read-only."""
    return plan(TreeKind.SYSFS, SYS, [*SYS_FLOOR, *below("/sys", masked)],
                [*below("/sys", read_only), *([b""] if read_only_root else [])], SYS_LOCKED_CHILD)


def plan(kind: TreeKind, nodes: Dir, masked: list[bytes], read_only: list[bytes], locked_child: bytes | None) -> TreePlan:
    """Read-only paths, then nodes, then masks; a path in both lists is masked. The path b"" is the tree itself."""
    entries = [Entry(path, Cover.READONLY) for path in sorted(set(read_only)) if path and not within(path, masked)]
    for path, node in walk(nodes):
        # Under a read-only path the kernel's own file shows the same value, and EROFS is the kernel's.
        if isinstance(node, Dir) or within(path, masked) or (isinstance(node, Tunable) and within(path, read_only)):
            continue
        entries.append(Entry(path, Cover.NODE, node.inode))
    if locked_child is not None and not within(locked_child, masked):
        entries.append(Entry(locked_child, Cover.SELF))
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
