"""Calls with bad arguments, in the way of signals, of death, of each other."""
import re
from pathlib import Path

import pytest

from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")

# What the kernel answers without us, in the order of its own checks.
POINTERS = {
    "edge": "OK",
    "unterminated type": "EFAULT",
    "bad target": "EFAULT",
    "bad source": "EFAULT",
    "bad type": "EFAULT",
    "bad data": "EFAULT",
    "kernel target": "EFAULT",
    "no target": "EFAULT",
    "no type": "EINVAL",
    "empty target": "ENOENT",
    "long target": "ENAMETOOLONG",
    "long type": "EINVAL",
    "bad umount": "EFAULT",
    "closed type": "EFAULT",
    "pointers": "OK",
}


def mounted(container: Container, target: str) -> int:
    return sum(f" {target} " in line for line in Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines())


def test_pointers_and_strings(privileged: Container) -> None:
    """The errno is the kernel's own, whoever read the string."""
    assert dict(line.split(": ") for line in privileged.probe("pointers")) == POINTERS


@pytest.mark.parametrize("kind", ["tmpfs", "proc"])
def test_sixty_four_threads_at_once(privileged: Container, kind: str) -> None:
    assert privileged.probe("storm", "64", "4", "/tmp", kind) == ["mounted 256, failed 0", "storm: OK"]
    assert not [line for line in Path(f"/proc/{privileged.pid}/mountinfo").read_text().splitlines() if re.search(r" /tmp/\d", line)]


@pytest.mark.parametrize("kind", ["tmpfs", "proc"])
def test_signals_in_the_middle_of_a_mount(privileged: Container, kind: str) -> None:
    """A signal makes a call arrive twice: the mount is there once, or EINTR was the answer and it is not there."""
    line, end = privileged.probe("signals", "200", "/t", kind)
    assert end == "signals: OK"
    counts = re.fullmatch(r"mounted (\d+), interrupted (\d+), wrong (\d+)", line)
    assert counts
    assert counts.group(3) == "0"
    assert int(counts.group(1)) > 0
    assert mounted(privileged, "/t") == 0


def test_callers_killed_while_judged(privileged: Container) -> None:
    """A dead caller's id is void: at most the calls that returned have mounted, each tree with its nodes, and the next call is served."""
    privileged.probe("killed", "200", "/t", "proc")
    lines = Path(f"/proc/{privileged.pid}/mountinfo").read_text().splitlines()
    trees = sum(line.split()[4] == "/t" for line in lines)
    assert sum(line.split()[4] == "/t/uptime" for line in lines) == trees
    assert privileged.probe("mount", "none", "/mnt", "tmpfs", "-") == ["mount: OK"]
