"""What a container reads in /proc, and what it may write there."""
import re
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import all_capabilities
from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse", "cgroup")
OVERCOMMIT = "/proc/sys/vm/overcommit_memory"
LIMIT = 96 << 20


def test_uptime_starts_with_the_container(container: Container) -> None:
    inside = float(container.exec("cat", "/proc/uptime").ok().out.split()[0])
    assert 0 <= inside < 60 < float(Path("/proc/uptime").read_text().split()[0])


def test_meminfo_shows_the_limit(containers: Launch) -> None:
    resources = {"devices": [{"allow": False, "access": "rwm"}], "memory": {"limit": LIMIT, "swap": LIMIT}}
    container = containers(linux={"resources": resources}).up()
    shown = container.exec("cat", "/proc/meminfo").ok().out
    total = re.search(r"^MemTotal: +(\d+) kB$", shown, re.MULTILINE)
    assert total
    assert int(total.group(1)) == LIMIT >> 10
    host = Path("/proc/meminfo").read_text()
    names = [line.split(":")[0] for line in host.splitlines() if not line.startswith("DirectMap")]  # it would tell the host's size
    assert [line.split(":")[0] for line in shown.splitlines()] == names


def test_swaps_has_no_host_device(container: Container) -> None:
    assert container.exec("cat", "/proc/swaps").ok().out.splitlines()[0].split() == ["Filename", "Type", "Size", "Used", "Priority"]


def test_tunable_is_read_only_where_proc_sys_is(container: Container) -> None:
    result = container.sh(f"echo 1 >{OVERCOMMIT}")
    assert result.status != 0
    assert "Read-only file system" in result.err


def test_tunable_is_kept_for_the_container_and_everywhere_in_it(containers: Launch, privileged: Container) -> None:
    """Each procfs of the container shows what was written through any of them; the host and other containers see nothing of it."""
    host = Path(OVERCOMMIT).read_text()
    other = containers(privileged=True).up()
    new = "1" if host.strip() != "1" else "0"
    privileged.sh(f"echo {new} >{OVERCOMMIT}").ok()
    assert privileged.sh(f"cat {OVERCOMMIT}; mount -t proc proc /t && cat /t/sys/vm/overcommit_memory").ok().lines == [new, new]
    privileged.sh(f"echo {host.strip()} >/t/sys/vm/overcommit_memory").ok()
    assert privileged.exec("cat", OVERCOMMIT).out == host
    assert other.exec("cat", OVERCOMMIT).out == host
    assert Path(OVERCOMMIT).read_text() == host


@pytest.mark.parametrize("written", ["3", "-1", "x", "99999999999999999999"])
def test_tunable_checks_what_is_written(privileged: Container, written: str) -> None:
    before = privileged.exec("cat", OVERCOMMIT).out
    result = privileged.sh(f"echo '{written}' >{OVERCOMMIT}")
    assert "Invalid argument" in result.err
    assert privileged.exec("cat", OVERCOMMIT).out == before


def test_tunable_belongs_to_container_root(privileged: Container) -> None:
    assert privileged.exec("stat", "-c", "%u %a", OVERCOMMIT).ok().out == "0 644\n"
    assert privileged.exec("cat", OVERCOMMIT, options=("--user=1000",)).status == 0
    assert privileged.exec("sh", "-c", f"echo 1 >{OVERCOMMIT}", options=("--user=1000",)).status != 0


def test_masks_and_read_only_paths(container: Container) -> None:
    listing = "cat /proc/keys /proc/timer_list; ls /proc/scsi /sys/firmware 2>/dev/null | grep -v ^/"
    shown = container.sh(f"{listing}; echo x >/proc/sys/kernel/domainname")
    assert [line for line in shown.lines if line] == []
    assert "Read-only file system" in shown.err
    assert container.sh("touch /sys/x").status != 0


def test_masks_cannot_be_lifted(containers: Launch) -> None:
    """Masks are part of the locked tree: CAP_SYS_ADMIN does not undo them, as it does those that runtimes make."""
    container = containers(capabilities=tuple(all_capabilities())).up()
    assert container.probe("umount", "/proc/keys", ",", "umount", "/proc/sys", ",", "mount", "-", "/proc/sys", "-", "remount+bind") == [
        "umount: EINVAL", "umount: EINVAL", "mount: EPERM",
    ]  # fmt: skip


def test_processes_are_the_containers(container: Container) -> None:
    pids = {int(name) for name in container.sh("cd /proc; ls -d [0-9]*").ok().out.split()}
    assert 1 in pids
    assert len(pids) < 6
