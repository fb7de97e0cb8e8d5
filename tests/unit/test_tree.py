"""The tree's literal, and what covers a procfs or sysfs for which lists of paths."""
import pytest

from eci_supervisor.model.tree import Cover, Entry, TreeKind
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import walk

DOCKER_MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware", "/sys/devices/virtual/powercap")
DOCKER_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

VIEWS = [b"uptime", b"meminfo", b"swaps", b"stat", b"cpuinfo", b"loadavg", b"diskstats", b"partitions", b"cgroups", b"cmdline", b"vmstat",
         b"pressure/cpu", b"pressure/io", b"pressure/irq", b"pressure/memory", b"sys/kernel/random/boot_id"]


def covers(entries: tuple[Entry, ...], cover: Cover) -> list[bytes]:
    return [entry.path for entry in entries if entry.cover is cover]


def test_an_inode_number_is_given_once() -> None:
    numbers = [node.inode for _, node in walk(tree.ROOT)] + [tree.ROOT.inode]
    assert len(set(numbers)) == len(numbers)
    assert tree.ROOT.inode == 1


def test_the_nodes_of_this_version() -> None:
    """A number stays its node's for ever: this table may grow only."""
    nodes = {f"sys/devices/system/node/node{n}{name}".encode(): 320 + 4 * n + place for n in range(8)
             for place, name in enumerate(("", "/cpulist", "/cpumap", "/meminfo"))}
    assert {path: inode for inode, path in tree.PATHS.items()} == {
        b"": 1, b"proc": 2, b"sys": 3, b"proc/uptime": 16, b"proc/meminfo": 17, b"proc/swaps": 18,
        b"proc/sys": 32, b"proc/sys/vm": 33, b"proc/sys/fs": 34, b"proc/sys/fs/inotify": 35, b"proc/sys/kernel": 36,
        b"proc/sys/kernel/keys": 37, b"proc/sys/kernel/yama": 38,
        b"proc/sys/vm/overcommit_memory": 64, b"proc/sys/fs/aio-max-nr": 65, b"proc/sys/fs/file-max": 66,
        b"proc/sys/fs/inotify/max_queued_events": 67, b"proc/sys/fs/inotify/max_user_instances": 68,
        b"proc/sys/fs/inotify/max_user_watches": 69, b"proc/sys/fs/nr_open": 70, b"proc/sys/fs/protected_fifos": 71,
        b"proc/sys/fs/protected_hardlinks": 72, b"proc/sys/fs/protected_regular": 73, b"proc/sys/fs/protected_symlinks": 74,
        b"proc/sys/kernel/dmesg_restrict": 75, b"proc/sys/kernel/keys/root_maxbytes": 76, b"proc/sys/kernel/keys/root_maxkeys": 77,
        b"proc/sys/kernel/kptr_restrict": 78, b"proc/sys/kernel/panic": 79, b"proc/sys/kernel/panic_on_oops": 80,
        b"proc/sys/kernel/pid_max": 81, b"proc/sys/kernel/printk": 82, b"proc/sys/kernel/sysrq": 83,
        b"proc/sys/kernel/yama/ptrace_scope": 84, b"proc/sys/vm/max_map_count": 85, b"proc/sys/vm/mmap_min_addr": 86,
        b"proc/sys/vm/overcommit_kbytes": 87, b"proc/sys/vm/overcommit_ratio": 88, b"proc/sys/vm/panic_on_oom": 89,
        b"sys/kernel": 160, b"sys/kernel/mm": 161, b"sys/kernel/mm/transparent_hugepage": 162,
        b"sys/kernel/mm/transparent_hugepage/defrag": 90, b"sys/kernel/mm/transparent_hugepage/enabled": 91,
        b"sys/module": 163, b"sys/module/nf_conntrack": 164, b"sys/module/nf_conntrack/parameters": 165,
        b"sys/module/nf_conntrack/parameters/hashsize": 92,
        b"proc/sys/net": 39, b"proc/sys/net/netfilter": 40, b"proc/sys/net/netfilter/nf_conntrack_max": 93,
        b"proc/diskstats": 128, b"proc/partitions": 129, b"proc/cgroups": 130, b"proc/cmdline": 131, b"proc/vmstat": 132,
        b"proc/pressure": 133, b"proc/pressure/cpu": 134, b"proc/pressure/io": 135, b"proc/pressure/irq": 136,
        b"proc/pressure/memory": 137, b"proc/sys/kernel/random": 138, b"proc/sys/kernel/random/boot_id": 139,
        b"sys/devices/virtual": 140, b"sys/devices/virtual/dmi": 141, b"sys/devices/virtual/dmi/id": 142,
        b"sys/devices/virtual/dmi/id/product_uuid": 143,
        b"proc/stat": 256, b"proc/cpuinfo": 257, b"proc/loadavg": 258,
        b"sys/devices": 272, b"sys/devices/system": 273, b"sys/devices/system/cpu": 274, b"sys/devices/system/cpu/online": 275,
        b"sys/devices/system/cpu/present": 276, b"sys/devices/system/cpu/offline": 277, b"sys/devices/system/node": 278, **nodes,
    }


def test_an_unprivileged_container_has_no_tunables() -> None:
    plan = tree.proc_plan(DOCKER_MASKED, DOCKER_READ_ONLY)
    assert plan.kind is TreeKind.PROC
    assert not plan.read_only
    assert covers(plan.entries, Cover.READONLY) == [b"bus", b"fs", b"irq", b"sys", b"sysrq-trigger"]
    assert covers(plan.entries, Cover.NODE) == VIEWS
    assert covers(plan.entries, Cover.MASK) == sorted([b"acpi", b"kcore", b"keys", *tree.PROC_FLOOR])


def test_a_privileged_one_has_views_tunables_and_the_floor() -> None:
    plan = tree.proc_plan((), ())
    assert Entry(b"sys/vm/overcommit_memory", Cover.TUNABLE, 64) in plan.entries
    assert covers(plan.entries, Cover.MASK) == sorted(tree.PROC_FLOOR)


def test_read_only_paths_first_then_nodes_then_masks() -> None:
    covered = [entry.cover for entry in tree.proc_plan(DOCKER_MASKED, DOCKER_READ_ONLY).entries]
    assert covered == sorted(covered, key=[Cover.READONLY, Cover.NODE, Cover.MASK].index)


@pytest.mark.parametrize("read_only", ["/proc/sys", "/proc/sys/vm", "/proc/sys/vm/overcommit_memory", "/proc//sys/",
                                       "/proc/sys/net/../vm", "/proc"])
def test_no_tunable_under_a_read_only_path(read_only: str) -> None:
    bound = tree.tunables([tree.proc_plan((), (read_only,))])
    assert b"proc/sys/vm/overcommit_memory" not in bound
    assert ("vm" in read_only) is (b"proc/sys/kernel/panic" in bound)


def test_no_tunable_of_a_read_only_sysfs() -> None:
    assert tree.tunables([tree.sysfs_plan((), (), read_only_root=True)]) == {}
    bound = tree.tunables([tree.sysfs_plan((), (), read_only_root=False)])
    assert set(bound) == {path for path in tree.TUNABLES if path.startswith(b"sys/")}


def test_what_the_kernel_keeps_is_its_own() -> None:
    plan = tree.proc_plan((), ())
    kept = tree.without(plan, [tree.TUNABLES[b"proc/sys/kernel/pid_max"]])
    assert [entry.path for entry in plan.entries if entry not in kept.entries] == [b"sys/kernel/pid_max"]


def test_masked_and_read_only_is_masked() -> None:
    plan = tree.proc_plan(("/proc/sys",), ("/proc/sys", "/proc/sys/vm"))
    assert covers(plan.entries, Cover.READONLY) == []
    assert b"sys" in covers(plan.entries, Cover.MASK)
    assert b"sys/vm/overcommit_memory" not in covers(plan.entries, Cover.NODE)


def test_a_masked_node_is_masked_once() -> None:
    plan = tree.proc_plan(("/proc/uptime", "/proc/uptime/"), ())
    assert [entry for entry in plan.entries if entry.path == b"uptime"] == [Entry(b"uptime", Cover.MASK)]


def test_nothing_is_covered_below_a_masked_directory() -> None:
    assert covers(tree.proc_plan(("/proc/sys", "/proc/sys/kernel"), ()).entries, Cover.MASK).count(b"sys/kernel") == 0


def test_sysfs_always_has_a_locked_child() -> None:
    plan = tree.sysfs_plan((), (), read_only_root=True)
    assert plan.kind is TreeKind.SYSFS
    assert plan.read_only
    assert b"devices/system/cpu/online" in covers(plan.entries, Cover.NODE)
    assert not tree.sysfs_plan((), (), read_only_root=False).read_only
    masked = tree.sysfs_plan(("/sys/devices/system/cpu/online",), (), read_only_root=False)
    assert b"devices/system/cpu/online" in covers(masked.entries, Cover.MASK)
    assert b"devices/system/cpu/online" not in covers(masked.entries, Cover.NODE)


def test_memory_nodes_are_those_of_the_machine() -> None:
    entries = tree.sysfs_plan((), (), read_only_root=True, memory_nodes=(0, 2)).entries
    found = {path.split(b"/")[3] for path in covers(entries, Cover.NODE) if path.startswith(tree.MEMORY_NODES)}
    assert found == {b"node0", b"node2"}


def test_paths_of_the_other_tree_and_of_none() -> None:
    plan = tree.proc_plan(("/sys/firmware", "/process", "/dev/x"), ("/sysx",))
    assert covers(plan.entries, Cover.MASK) == sorted(tree.PROC_FLOOR)
    assert covers(plan.entries, Cover.READONLY) == []
    assert b"firmware" in covers(tree.sysfs_plan(DOCKER_MASKED, (), read_only_root=False).entries, Cover.MASK)
