"""What programs do to /proc/sys and /sys when they start: real ones of Debian's, and the reads and writes of those that are not to be had.

Numbers are the acceptance list's lines. The host's values are the same before and after each test.
"""
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.test_tunables import host_values
from tests.support.bundle import bind
from tests.support.driver import Container

pytestmark = [
    pytest.mark.requires("root", "busybox", "compiler", "runc", "seccomp_notify", "fuse", "cgroup", "redis"),
    pytest.mark.parametrize("runtime", ["runc"], indirect=True),
]
PROGRAMS = tuple(bind(source, place, "ro") for source, place in (("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64")))
SYSCTL_D = """
kernel.sysrq = 16
-kernel.core_uses_pid = 1
net.ipv4.conf.all.rp_filter = 2
net.ipv4.ping_group_range = 0 65535
fs.protected_hardlinks = 1
fs.inotify.max_user_instances = 1024
vm.max_map_count = 1048576
kernel.pid_max = 4194304
fs.file-max = 9223372036854775807
net.core.default_qdisc = fq_codel
vm.swappiness = 10
"""
# k8s.io/component-helpers/node/util/sysctl: each is read, and written if it is another, as os.WriteFile does it.
KUBELET = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
           "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}
KUBE_PROXY = {"net/netfilter/nf_conntrack_max": 524288, "net/netfilter/nf_conntrack_tcp_timeout_established": 86400,
              "net/netfilter/nf_conntrack_tcp_timeout_close_wait": 3600, "net/ipv4/conf/all/route_localnet": 1}
WRITE_FILE = """
import os, sys
for name, value in {values!r}.items():
    path = "/proc/sys/" + name
    if int(open(path).read()) != value:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        os.write(fd, str(value).encode())
        os.close(fd)
    assert int(open(path).read()) == value, name
"""
HASHSIZE = "/sys/module/nf_conntrack/parameters/hashsize"
REDIS = "import os; os.execv('/usr/bin/redis-check-rdb', ['redis-server', '--port', '0', '--save', '', '--unixsocket', '/tmp/redis'])"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Line 59, around each test."""
    before = host_values()
    yield
    assert host_values() == before


@pytest.fixture
def machine(containers: Launch) -> Container:
    """All of the host's programs in a container that may set its tunables."""
    return containers(privileged=True, mounts=PROGRAMS).up()


def python(container: Container, script: str) -> None:
    container.exec("/usr/bin/python3", "-c", script).ok()


def test_43_kubelet_with_protect_kernel_defaults(machine: Container) -> None:
    python(machine, WRITE_FILE.format(values=KUBELET))
    python(machine, WRITE_FILE.format(values=KUBELET))  # and again, when nothing is to be written


def test_43_kube_proxy(machine: Container) -> None:
    """It writes hashsize only where /proc/mounts shows a sysfs that is writable."""
    there = {name: value for name, value in KUBE_PROXY.items() if Path("/proc/sys", name).exists()}
    python(machine, WRITE_FILE.format(values=there))
    mounts = [line.split() for line in machine.exec("cat", "/proc/mounts").ok().lines]
    assert [words[3].split(",")[0] for words in mounts if words[1] == "/sys" and words[2] == "sysfs"] == ["rw"]
    if Path(HASHSIZE).exists():
        assert machine.sh(f"echo 131072 >{HASHSIZE}; cat {HASHSIZE}").ok().out == "131072\n"


def started_redis(container: Container) -> str:
    """What it says until it is told to end."""
    end = "until /usr/bin/redis-cli -s /tmp/redis shutdown nosave; do usleep 20000; done >/dev/null 2>&1"
    return container.sh(f"/usr/bin/python3 -c \"{REDIS}\" >/tmp/log 2>&1 & {end}; wait; cat /tmp/log").ok().out


def test_43_redis(machine: Container) -> None:
    machine.exec("/usr/sbin/sysctl", "-w", "vm.overcommit_memory=0").ok()
    assert "Memory overcommit must be enabled" in started_redis(machine)
    assert "vm.overcommit_memory = 1" in machine.exec("/usr/sbin/sysctl", "-w", "vm.overcommit_memory=1").ok().out
    machine.sh("echo never >/sys/kernel/mm/transparent_hugepage/enabled").ok()
    said = started_redis(machine)
    assert "ready to" in said.lower()
    assert "overcommit" not in said
    assert "Transparent Huge Pages" not in said


def test_43_elasticsearch(machine: Container) -> None:
    """Its bootstrap check reads the file."""
    machine.exec("/usr/sbin/sysctl", "-w", "vm.max_map_count=262144").ok()
    assert machine.exec("cat", "/proc/sys/vm/max_map_count").ok().out == "262144\n"


def test_42_systemd_sysctl(machine: Container) -> None:
    (machine.bundle / "rootfs/etc/sysctl.d").mkdir()
    (machine.bundle / "rootfs/etc/sysctl.d/50-default.conf").write_text(SYSCTL_D)
    done = machine.exec("/lib/systemd/systemd-sysctl")
    assert done.status == 0, done
    shown = machine.sh("cd /proc/sys; cat vm/max_map_count fs/file-max kernel/pid_max net/ipv4/conf/all/rp_filter").ok().lines
    assert shown == ["1048576", "9223372036854775807", "4194304", "2"]


def test_35_with_cap_dac_override_another_user_may_write(machine: Container) -> None:
    rights = "--reuid=1000 --inh-caps=+dac_override --ambient-caps=+dac_override"
    shown = machine.sh(f"/usr/bin/setpriv {rights} sh -c 'id -u; echo 3 >/proc/sys/kernel/panic'; cat /proc/sys/kernel/panic")
    assert shown.ok().lines == ["1000", "3"]


def test_59_everything_is_written_and_the_host_moves_by_nothing(machine: Container) -> None:
    """Each file of /proc/sys that container root may open is given its own value, and 1."""
    find = "find /proc/sys -type f ! -name drop_caches ! -name compact_memory ! -name stat_refresh"
    machine.sh(f"{find} | while read -r f; do v=$(cat $f 2>/dev/null) && echo \"$v\" >$f; echo 1 >$f; done 2>/dev/null; true").ok()
    os.kill(machine.record().supervisor_pid, 0)
