"""What each tunable accepts: its range at both ends, and how its value is written."""
import errno

import pytest

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import Store

INT_MAX, ULONG_MAX = (1 << 31) - 1, (1 << 64) - 1
# Node below proc/sys: least, most. proc-like tables of kernel/sysctl.c, fs/, mm/, security/.
RANGES = {
    "fs/aio-max-nr": (0, ULONG_MAX), "fs/file-max": (0, (1 << 63) - 1), "fs/inotify/max_queued_events": (0, INT_MAX),
    "fs/inotify/max_user_instances": (0, INT_MAX), "fs/inotify/max_user_watches": (0, INT_MAX), "fs/nr_open": (64, 2147483584),
    "fs/protected_fifos": (0, 2), "fs/protected_hardlinks": (0, 1), "fs/protected_regular": (0, 2), "fs/protected_symlinks": (0, 1),
    "kernel/dmesg_restrict": (0, 1), "kernel/keys/root_maxbytes": (0, INT_MAX), "kernel/keys/root_maxkeys": (0, INT_MAX),
    "kernel/kptr_restrict": (0, 2), "kernel/panic": (-INT_MAX - 1, INT_MAX), "kernel/panic_on_oops": (-INT_MAX - 1, INT_MAX),
    "kernel/sysrq": (0, 511), "kernel/yama/ptrace_scope": (0, 3), "vm/max_map_count": (0, INT_MAX), "vm/mmap_min_addr": (0, ULONG_MAX),
    "vm/overcommit_kbytes": (0, ULONG_MAX), "vm/overcommit_memory": (0, 2), "vm/overcommit_ratio": (0, INT_MAX),
    "vm/panic_on_oom": (0, 2), "net/netfilter/nf_conntrack_max": (0, INT_MAX),
}
HUGE = b"sys/kernel/mm/transparent_hugepage/"


def rule(name: str) -> Store:
    return tree.TUNABLES[f"proc/sys/{name}".encode()].store


def test_every_tunable_has_a_row() -> None:
    others = {"proc/sys/kernel/pid_max", "proc/sys/kernel/printk", "sys/module/nf_conntrack/parameters/hashsize",
              "sys/kernel/mm/transparent_hugepage/defrag", "sys/kernel/mm/transparent_hugepage/enabled"}
    assert {path.decode() for path in tree.TUNABLES} == {f"proc/sys/{name}" for name in RANGES} | others


@pytest.mark.parametrize("name", RANGES)
def test_both_ends(name: str) -> None:
    least, most = RANGES[name]
    for value in (least, most):
        assert rule(name)(b"1\n", b"%d" % value) == b"%d\n" % value
    for value in (least - 1, most + 1):
        assert rule(name)(b"1\n", b"%d" % value) == Deny(errno.EINVAL)


def test_pid_max() -> None:
    assert rule("kernel/pid_max")(b"1\n", b"300") == rule("kernel/pid_max")(b"1\n", b"4194305") == Deny(errno.EINVAL)
    assert rule("kernel/pid_max")(b"1\n", b"4194304") == b"4194304\n"


def test_printk_keeps_the_fields_that_are_not_given() -> None:
    assert rule("kernel/printk")(b"4\t4\t1\t7\n", b"7") == b"7\t4\t1\t7\n"
    assert rule("kernel/printk")(b"4\t4\t1\t7\n", b"3 4 1 3\n") == b"3\t4\t1\t3\n"


def test_hashsize() -> None:
    store = tree.TUNABLES[b"sys/module/nf_conntrack/parameters/hashsize"].store
    assert store(b"262144\n", b"0") == store(b"262144\n", b"4294967296") == Deny(errno.EINVAL)
    assert store(b"262144\n", b"65536\n") == b"65536\n"


@pytest.mark.parametrize(("written", "text"), [
    (b"never\n", b"always madvise [never]\n"), (b"always", b"[always] madvise never\n"), (b"", b"always [madvise] never\n"),
])
def test_words(written: bytes, text: bytes) -> None:
    assert tree.TUNABLES[HUGE + b"enabled"].store(b"always [madvise] never\n", written) == text


@pytest.mark.parametrize("written", [b"sometimes", b"never\n\n", b" never", b"never always", b"[never]", b"\n", b"nev", b"never\0"])
def test_no_words(written: bytes) -> None:
    assert tree.TUNABLES[HUGE + b"enabled"].store(b"always [madvise] never\n", written) == Deny(errno.EINVAL)


def test_defrag_has_five_words() -> None:
    present = b"always defer defer+madvise [madvise] never\n"
    assert tree.TUNABLES[HUGE + b"defrag"].store(present, b"defer") == b"always [defer] defer+madvise madvise never\n"
