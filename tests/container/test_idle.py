"""A supervisor that is idle has little memory of its own, and works as before when it has something to do again."""
from pathlib import Path

import pytest

from tests.support.driver import Container
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
IDLE_KIB = 6656  # the bench's 6 MiB, and what a server that has served hundreds before has changed of its own
PAGES_KIB = 512  # at least what a few calls of each kind take for the time being


def own_kib(pid: int) -> int:
    """Copies of its own. A single supervisor is alone with some pages of files as well, which a second one would share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


def wait_for(pid: int, most_kib: int) -> None:
    wait_until(lambda: own_kib(pid) <= most_kib, f"all but {most_kib} KiB is given back")


def works(container: Container) -> None:
    """An exec with a listener of its own, an emulated call, one that C answers, nodes, a write to one, the control socket, events."""
    assert container.probe("mount", "proc", "/t", "proc", "-", ",", "umount", "/proc/uptime") == ["mount: OK", "umount: EINVAL"]
    script = "cat /proc/uptime /proc/meminfo /proc/stat; echo 1 > /proc/sys/vm/overcommit_memory; cat /proc/sys/vm/overcommit_memory; free"
    lines = container.sh(script).ok().lines
    assert float(lines[0].split()[0]) < 60
    assert "1" in lines
    assert container.runtime.eci("inspect", container.id).ok().out
    assert "umount2" in container.runtime.eci("events", container.id).ok().out


def test_idle_busy_and_idle_again(privileged: Container) -> None:
    """What is done for the first time changes some pages for good; most it gives back again."""
    supervisor = privileged.record().supervisor_pid
    wait_for(supervisor, IDLE_KIB)
    for _ in range(2):
        works(privileged)
        wait_for(supervisor, own_kib(supervisor) - PAGES_KIB)
    assert privileged.record().supervisor_pid == supervisor
