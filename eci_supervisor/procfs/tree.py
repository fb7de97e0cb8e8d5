"""The virtual nodes, as a literal that reads like /proc and /sys; and what covers a locked tree of each.

An inode number is given once and never to another node: a mount can outlive the server that gave it.
"""
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.procfs.node import Dir, File, Node, Tunable, walk
from eci_supervisor.procfs.nodes import (
    cgroups,
    cpuinfo,
    cpus,
    diskstats,
    fixed,
    loadavg,
    meminfo,
    numa,
    pressure,
    stat,
    swaps,
    sysctl,
    uptime,
    vmstat,
)
from eci_supervisor.procfs.numa import MOST as MOST_NODES
from eci_supervisor.procfs.text import one_word

OVERCOMMIT_RATIO, OVERCOMMIT_KBYTES = b"proc/sys/vm/overcommit_ratio", b"proc/sys/vm/overcommit_kbytes"

MEMORY_NODES = b"devices/system/node/"
PROC = Dir(2, {
    b"uptime": File(16, uptime.render),
    b"meminfo": File(17, meminfo.render),
    b"swaps": File(18, swaps.render),
    b"stat": File(256, stat.render),
    b"cpuinfo": File(257, cpuinfo.render),
    b"loadavg": File(258, loadavg.render),
    b"diskstats": File(128, diskstats.render),
    b"partitions": File(129, fixed.partitions),
    b"cgroups": File(130, cgroups.render),
    b"cmdline": File(131, fixed.cmdline),
    b"vmstat": File(132, vmstat.render),
    b"pressure": Dir(133, {
        b"cpu": File(134, pressure.of("cpu", b"some", b"full"), mode=0o644, pressure="cpu"),
        b"io": File(135, pressure.of("io", b"some", b"full"), mode=0o644, pressure="io"),
        b"irq": File(136, pressure.of("irq", b"full"), mode=0o644, pressure="irq"),
        b"memory": File(137, pressure.of("memory", b"some", b"full"), mode=0o644, pressure="memory"),
    }),
    b"sys": Dir(32, {
        b"fs": Dir(34, {
            b"aio-max-nr": Tunable(65, sysctl.unsigned_long),
            b"file-max": Tunable(66, sysctl.count_of_files),
            b"inotify": Dir(35, {
                b"max_queued_events": Tunable(67, sysctl.natural),
                b"max_user_instances": Tunable(68, sysctl.natural),
                b"max_user_watches": Tunable(69, sysctl.natural),
            }),
            b"nr_open": Tunable(70, sysctl.nr_open),
            b"protected_fifos": Tunable(71, sysctl.up_to_2),
            b"protected_hardlinks": Tunable(72, sysctl.flag),
            b"protected_regular": Tunable(73, sysctl.up_to_2),
            b"protected_symlinks": Tunable(74, sysctl.flag),
        }),
        b"kernel": Dir(36, {
            b"dmesg_restrict": Tunable(75, sysctl.flag),
            b"keys": Dir(37, {
                b"root_maxbytes": Tunable(76, sysctl.natural),
                b"root_maxkeys": Tunable(77, sysctl.natural),
            }),
            b"kptr_restrict": Tunable(78, sysctl.up_to_2),
            b"panic": Tunable(79, sysctl.any_int),
            b"panic_on_oops": Tunable(80, sysctl.any_int),
            b"pid_max": Tunable(81, sysctl.pid_max),  # the kernel's own from 6.14 on
            b"printk": Tunable(82, sysctl.four_ints),
            b"random": Dir(138, {
                b"boot_id": File(139, fixed.boot_id),
            }),
            b"sysrq": Tunable(83, sysctl.sysrq),
            b"yama": Dir(38, {
                b"ptrace_scope": Tunable(84, sysctl.up_to_3),
            }),
        }),
        b"net": Dir(39, {
            b"netfilter": Dir(40, {
                b"nf_conntrack_max": Tunable(93, sysctl.natural),  # read-only in every network namespace but the first
            }),
        }),
        b"vm": Dir(33, {
            b"max_map_count": Tunable(85, sysctl.natural),
            b"mmap_min_addr": Tunable(86, sysctl.unsigned_long),
            b"overcommit_kbytes": Tunable(87, sysctl.unsigned_long, zeroes=OVERCOMMIT_RATIO),
            b"overcommit_memory": Tunable(64, sysctl.up_to_2),
            b"overcommit_ratio": Tunable(88, sysctl.natural, zeroes=OVERCOMMIT_KBYTES),
            b"panic_on_oom": Tunable(89, sysctl.up_to_2),
        }),
    }),
})
SYS = Dir(3, {
    b"devices": Dir(272, {
        b"virtual": Dir(140, {
            b"dmi": Dir(141, {
                b"id": Dir(142, {
                    b"product_uuid": File(143, fixed.product_uuid, mode=0o400),
                }),
            }),
        }),
        b"system": Dir(273, {
            b"cpu": Dir(274, {
                b"online": File(275, cpus.online),
                b"present": File(276, cpus.online),
                b"offline": File(277, cpus.offline),
            }),
            b"node": Dir(278, {b"node%d" % number: numa.directory(number, 320 + 4 * number) for number in range(MOST_NODES)}),
        }),
    }),
    b"kernel": Dir(160, {
        b"mm": Dir(161, {
            b"transparent_hugepage": Dir(162, {
                b"defrag": Tunable(90, one_word),
                b"enabled": Tunable(91, one_word),
            }),
        }),
    }),
    b"module": Dir(163, {
        b"nf_conntrack": Dir(164, {
            b"parameters": Dir(165, {
                b"hashsize": Tunable(92, sysctl.hash_buckets, mode=0o600),
            }),
        }),
    }),
})
ROOT = Dir(1, {b"proc": PROC, b"sys": SYS})  # 1 is FUSE_ROOT_ID

NODES: Mapping[int, Node] = {ROOT.inode: ROOT, **{node.inode: node for _, node in walk(ROOT)}}
PATHS: Mapping[int, bytes] = {ROOT.inode: b"", **{node.inode: path for path, node in walk(ROOT)}}
TUNABLES: Mapping[bytes, Tunable] = {path: node for path, node in walk(ROOT) if isinstance(node, Tunable)}

# Masked in every container, privileged or not: what the host's other processes do, and where its kernel lies.
PROC_FLOOR = (b"interrupts", b"softirqs", b"schedstat", b"buddyinfo", b"zoneinfo", b"kallsyms")
# The four of kernel/ are where systemd and Docker mount file systems of the host's kernel, unless something is mounted there.
SYS_FLOOR = (b"devices/virtual/powercap", b"kernel/config", b"kernel/debug", b"kernel/security", b"kernel/slab", b"kernel/tracing")
# The kernel refuses a fresh procfs or sysfs only where a mounted one has a locked child over a regular file (mount_too_revealing):
# uptime and devices/system/cpu/online are always there, or masked.


def tunables(plans: Iterable[TreePlan]) -> dict[bytes, Tunable]:
    """Those that the plans bind, by path from the virtual tree's root."""
    inodes = {entry.node for plan in plans for entry in plan.entries if entry.cover is Cover.TUNABLE}
    return {path: node for path, node in TUNABLES.items() if node.inode in inodes}


def with_triggers(plan: TreePlan) -> TreePlan:
    """The plan with the files that take triggers where tunables are served: a trigger belongs to an open file, and views have none."""
    inodes = {node.inode for node in NODES.values() if isinstance(node, File) and node.pressure}
    return replace(plan, entries=tuple(replace(entry, cover=Cover.TUNABLE) if entry.node in inodes else entry for entry in plan.entries))


def without(plan: TreePlan, nodes: Iterable[Node]) -> TreePlan:
    """The plan with the kernel's own files in the place of `nodes`."""
    inodes = {node.inode for node in nodes}
    return replace(plan, entries=tuple(entry for entry in plan.entries if entry.node not in inodes))


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
        entries.append(Entry(path, Cover.TUNABLE if isinstance(node, Tunable) else Cover.NODE, node.inode))
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
