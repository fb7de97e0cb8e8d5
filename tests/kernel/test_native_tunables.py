"""Which tunables are the kernel's for a container: what its root may write is never bound."""
import os
import platform

import pytest

from eci_supervisor.model.ids import IdRange
from eci_supervisor.procfs import native, tree

pytestmark = pytest.mark.requires("root")

IDS = IdRange(400000)


def test_what_container_root_may_write() -> None:
    kept = [b"proc/sys/net/ipv4/ip_forward", b"proc/sys/net/core/somaxconn"]
    hosts = [b"proc/sys/kernel/panic", b"proc/sys/vm/swappiness", b"sys/kernel/mm/transparent_hugepage/enabled", b"proc/sys/no/such"]
    assert native.writable([*hosts, *kept], IDS) == kept


def test_only_pid_max_is_the_kernels_and_only_since_it_is() -> None:
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    expected = [b"proc/sys/kernel/pid_max"] if release >= (6, 14) else []
    assert native.writable(tuple(tree.TUNABLES), IDS) == expected


def test_nothing_of_it_is_left() -> None:
    before = set(os.listdir("/proc/self/fd"))
    native.writable([b"proc/sys/kernel/panic"], IDS)
    assert set(os.listdir("/proc/self/fd")) == before
