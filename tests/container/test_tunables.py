"""Tunables of a container: its own through every procfs and sysfs of it, nobody else's. Numbers are the acceptance list's lines."""
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support import host
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse", "cgroup")

# Each node (below /proc/sys, or by its whole path) and two values; the one is written that the host has not.
STORES = {
    "kernel/panic": ("10", "11"), "kernel/panic_on_oops": ("1", "0"), "kernel/keys/root_maxkeys": ("77", "78"),
    "kernel/keys/root_maxbytes": ("2500", "2501"), "kernel/printk": ("3\t4\t1\t3", "4\t4\t1\t3"),
    "kernel/sysrq": ("16", "17"), "kernel/kptr_restrict": ("1", "2"), "kernel/dmesg_restrict": ("0", "1"),
    "kernel/yama/ptrace_scope": ("2", "1"), "vm/overcommit_memory": ("1", "2"), "vm/overcommit_ratio": ("80", "81"),
    "vm/panic_on_oom": ("1", "0"), "vm/max_map_count": ("262144", "262145"), "vm/mmap_min_addr": ("65536", "65537"),
    "fs/file-max": ("9223372036854775807", "5"), "fs/nr_open": ("1073741816", "64"),
    "fs/protected_hardlinks": ("0", "1"), "fs/protected_symlinks": ("1", "0"), "fs/protected_regular": ("2", "1"),
    "fs/protected_fifos": ("1", "2"), "fs/aio-max-nr": ("1048576", "1048577"),
    "fs/inotify/max_user_instances": ("8192", "8193"), "fs/inotify/max_user_watches": ("524288", "524289"),
    "fs/inotify/max_queued_events": ("65536", "65537"),
    "net/netfilter/nf_conntrack_max": ("999999", "999998"),
    "/sys/module/nf_conntrack/parameters/hashsize": ("65536", "65537"),
}
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
PANIC = "/proc/sys/kernel/panic"
BOOT_ID = "/proc/sys/kernel/random/boot_id"  # a view, which every container has
INNER = "/inner"
COUNTING = {"page_reporting"}  # modules whose parameters are counters


def host_values() -> dict[str, bytes]:
    """/proc/sys but for what moves, and what modules are set to."""
    modules = {str(path): read(path) for path in Path("/sys/module").glob("*/parameters/*") if path.parts[3] not in COUNTING}
    huge = {str(path): read(path) for path in Path("/sys/kernel/mm/transparent_hugepage").glob("[de]*")}
    return {**host.sysctls(), **modules, **huge}


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # write-only, or of a device that is not there


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Line 59, around each test."""
    before = host_values()
    yield
    assert host_values() == before


def chosen() -> dict[str, str]:
    """A value other than the host's for each node that the host has."""
    paths = {path: Path("/proc/sys", path) for path in STORES}
    return {str(path): next(value for value in STORES[name] if value != path.read_text().strip())
            for name, path in paths.items() if path.exists()}


def values(container: Container, paths: list[str]) -> list[str]:
    return container.sh(f"cat {' '.join(paths)}").ok().lines


def test_28_every_tunable_in_every_procfs_and_nowhere_else(containers: Launch, privileged: Container) -> None:
    """Also lines 36 and 47 for what is ours: a second mount, a chroot, one mounted in it."""
    other, wanted = containers(privileged=True).up(), chosen()
    hosts = values(other, list(wanted))
    privileged.sh(f"mkdir -p {INNER}/proc {INNER}/sys {INNER}/bin && cp /bin/busybox {INNER}/bin && "
                  f"mount -t proc proc {INNER}/proc && mount -t sysfs sysfs {INNER}/sys").ok()
    privileged.sh(" && ".join(f"echo '{value}' >{path}" for path, value in wanted.items())).ok()
    expected = list(wanted.values())
    assert values(privileged, list(wanted)) == expected
    assert values(privileged, [INNER + path for path in wanted]) == expected
    assert privileged.sh(f"chroot {INNER} /bin/busybox cat {' '.join(wanted)}").ok().lines == expected
    privileged.sh(f"chroot {INNER} /bin/busybox sh -c 'echo 12 >{PANIC}'").ok()
    assert values(privileged, [PANIC]) == ["12"]
    assert values(other, list(wanted)) == hosts == [Path(path).read_text().strip() for path in wanted]


def test_29_30_what_is_taken_and_what_is_refused(privileged: Container) -> None:
    node = "/proc/sys/vm/overcommit_memory"
    taken = [(r"2\n", "2"), (r" 1 \n", "1"), ("1", "1"), ("0x1", "1"), ("01", "1"), (r"2\nmore", "2")]
    script = "".join(f"printf '{written}' >{node}; cat {node};" for written, _ in taken)
    assert privileged.sh(script).ok().lines == [text for _, text in taken]
    for written in ("3", "1x", "+1", r"\n", "99999999999999999999"):
        result = privileged.sh(f"echo -ne '{written}' >{node}")
        assert "Invalid argument" in result.err
        assert values(privileged, [node]) == ["2"]


def test_31_32_34_fields_appending_and_truncation(privileged: Container) -> None:
    printk, panic = "/proc/sys/kernel/printk", PANIC
    rest = Path(printk).read_text().split()[1:]
    assert privileged.sh(f"echo 7 >{printk}; cat {printk}").ok().out.split() == ["7", *rest]
    assert privileged.sh(f"echo 100000 >>{panic}; cat {panic}; echo 5 >{panic}; cat {panic}").ok().lines == ["100000", "5"]
    assert privileged.sh(f": >{panic}; cat {panic}; (printf 6; printf 7) >{panic}; cat {panic}").ok().lines == ["5", "6"]
    assert privileged.sh(f"echo 1x >{panic}; cat {panic} | wc -c").lines == ["2"]


def test_35_modes_and_owners(privileged: Container) -> None:
    assert "not permitted" in privileged.sh(f"chmod 666 {PANIC}").err
    assert "not permitted" in privileged.sh(f"chown 5 {PANIC}").err
    nobody = ("--user=1000",)
    assert privileged.sh(f"cat {PANIC}", options=nobody).status == 0
    assert "ermission denied" in privileged.sh(f"echo 1 >{PANIC}", options=nobody).err
    if Path("/sys/module/nf_conntrack/parameters/hashsize").exists():
        assert "ermission denied" in privileged.sh("cat /sys/module/nf_conntrack/parameters/hashsize", options=nobody).err


def test_33_writers_and_readers_of_a_shell(privileged: Container) -> None:
    """Ten writers of values of every length, ten readers by busybox cat, which reads by sendfile: only what was written, whole."""
    values = [str(10 ** (number % 9) + number) for number in range(10)]
    writers = "".join(f"(while [ ! -e /over ]; do echo {value} >{PANIC}; done) & " for value in values)
    readers = f"for i in 0 1 2 3 4 5 6 7 8 9; do (while [ ! -e /over ]; do cat {PANIC}; done >/seen$i) & done; "
    privileged.sh(f"echo {values[0]} >{PANIC}; {writers} {readers} sleep 2; touch /over; wait").ok()
    seen = set(privileged.sh("cat /seen* | sort -u").ok().lines)
    assert seen <= set(values)
    assert len(seen) > 1


def test_36_nf_conntrack_max_is_a_file_of_each_network_namespace(privileged: Container) -> None:
    """Bound from inside the namespaces: a procfs that is mounted in another network namespace has it too, and it is the same value."""
    node, higher = "sys/net/netfilter/nf_conntrack_max", str(int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text()) + 1)
    privileged.sh(f"echo {higher} >/proc/{node}").ok()
    inner = f"mount -t proc proc /t && cat /t/{node} && echo 12345 >/t/{node}"
    assert privileged.sh(f"unshare -n -m -p -f sh -c '{inner}'").ok().lines == [higher]
    assert privileged.sh(f"cat /proc/{node}; stat -f -c %t /proc/{node}").ok().lines == ["12345", "65735546"]


def test_37_38_tunables_of_sysfs(privileged: Container) -> None:
    hashsize = Path("/sys/module/nf_conntrack/parameters/hashsize")
    if hashsize.exists():
        assert "Invalid argument" in privileged.sh(f"echo 0 >{hashsize}").err
        assert privileged.sh(f"echo 65536 >{hashsize}; cat {hashsize}; stat -c %a {hashsize}").lines == ["65536", "600"]
    privileged.sh(f"echo never >{THP}").ok()
    assert values(privileged, [THP]) == ["always madvise [never]"]
    assert "Invalid argument" in privileged.sh(f"echo sometimes >{THP}").err
    assert values(privileged, [THP]) == ["always madvise [never]"]


def test_39_40_what_the_kernel_keeps_is_native(privileged: Container) -> None:
    natives = {"net/ipv4/ip_forward": "1", "net/core/somaxconn": "1234", "net/ipv4/tcp_keepalive_time": "600",
               "net/unix/max_dgram_qlen": "99", "kernel/shmmax": "1000000", "kernel/msgmax": "9000", "kernel/pid_max": "5000"}
    for name, value in natives.items():
        shown = privileged.sh(f"cd /proc/sys; echo {value} >{name} && cat {name} && stat -f -c %T {name}").ok().lines
        assert shown == [value, "proc"], name
    privileged.sh("echo 0 65535 >/proc/sys/net/ipv4/ping_group_range").ok()
    assert "Invalid argument" in privileged.sh("echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range").err


def test_41_42_what_stays_the_hosts_and_what_is_absent(privileged: Container) -> None:
    for name in ("vm/swappiness", "kernel/threads-max", "fs/pipe-max-size", "kernel/keys/maxkeys", "kernel/core_pattern", "vm/drop_caches"):
        assert "ermission denied" in privileged.sh(f"echo 1 >/proc/sys/{name}").err, name
    for name in ("net/core/default_qdisc", "net/ipv4/neigh/default/gc_thresh1"):
        assert "No such file" in privileged.sh(f"cat /proc/sys/{name}").err, name


def test_44_a_restart_forgets_and_a_new_supervisor_does_not(containers: Launch, runtime: Runtime) -> None:
    hosts = Path(PANIC).read_text().strip()
    container = containers(privileged=True).up()
    container.sh(f"echo 4321 >{PANIC}").ok()
    container.kill_supervisor()
    assert json.loads(Path(container.directory.tunables).read_text())["proc/sys/kernel/panic"] == "4321\n"
    container.remove()
    assert values(container.up(), [PANIC]) == [hosts]


def test_45_live_values(privileged: Container) -> None:
    assert len(set(privileged.sh("for i in 1 2 3; do cat /proc/sys/kernel/random/uuid; done").ok().lines)) == 3
    assert privileged.exec("stat", "-f", "-c", "%T", "/proc/sys/fs/file-nr").ok().out == "proc\n"


def test_47_mounted_read_only_every_write_is_refused(privileged: Container) -> None:
    privileged.sh("mount -t proc -o ro proc /t").ok()
    assert "Read-only file system" in privileged.sh("echo 1 >/t/sys/kernel/panic").err


def test_53_an_unprivileged_container_binds_none(container: Container) -> None:
    assert "Read-only file system" in container.sh(f"echo 1 >{PANIC}").err
    mounted = [line.split()[4] for line in container.exec("cat", "/proc/self/mountinfo").ok().lines]
    assert [path for path in mounted if path.startswith(("/proc/sys/", "/sys/module", "/sys/kernel/mm"))] == [BOOT_ID]


def test_commit_limit_follows(containers: Launch) -> None:
    container = containers(privileged=True, linux={"resources": {"memory": {"limit": 64 << 20}}}).up()
    shown = "grep CommitLimit /proc/meminfo | tr -dc 0-9; echo;"
    swap = int(container.sh("grep SwapTotal /proc/meminfo | tr -dc 0-9").ok().out)
    seen = container.sh(f"echo 100 >/proc/sys/vm/overcommit_ratio; sleep 0.2; {shown} echo 4096 >/proc/sys/vm/overcommit_kbytes; sleep 0.2;"
                        f"{shown} cat /proc/sys/vm/overcommit_ratio")
    assert seen.ok().lines == [str(65536 + swap), str(4096 + swap), "0"]


def test_a_sysctl_of_the_spec_is_where_a_node_begins(containers: Launch) -> None:
    container = containers(privileged=True, linux={"sysctl": {"vm.max_map_count": "262144", "net.core.somaxconn": "777"}}).up()
    assert values(container, ["/proc/sys/vm/max_map_count", "/proc/sys/net/core/somaxconn"]) == ["262144", "777"]


def test_a_sysctl_that_the_kernel_does_not_have(containers: Launch) -> None:
    container = containers(privileged=True, linux={"sysctl": {"net.core.nosuch": "1"}})
    result = container.create()
    assert result.status != 0
    assert "sysctl net/core/nosuch: this kernel has none in a container's namespaces" in result.err
    assert not Path(container.directory.path).exists()


def test_a_store_is_an_event_when_it_is_not_the_hosts_value(privileged: Container, runtime: Runtime) -> None:
    privileged.sh(f"echo 4444 >{PANIC}; echo 4445 >{PANIC}").ok()
    shown = runtime.eci("events", privileged.id, "--json")
    events = [event for event in map(json.loads, shown.ok().lines) if event["call"] == "tunable_not_effective"]
    assert [(event["args"]["node"], event["args"]["new"]) for event in events] == [("proc/sys/kernel/panic", "b'4444\\n'")]
    assert events[0]["args"]["host"] == ascii(Path(PANIC).read_bytes())
