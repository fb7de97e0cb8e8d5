"""F, D06, D07, D08: each call that could uncover, move or change a protected mount, in each position. Nothing of it may succeed."""
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
INNER = "userns , unshare mnt+pid , fork , "

# Position: steps before, the read-only volume and the virtual file as they are called there.
POSITIONS = {
    "P1": ("", "/r", "/proc/uptime"),
    "P5": (INNER, "/r", "/proc/uptime"),
    "P5 twice": (f"{INNER}userns , unshare mnt , ", "/r", "/proc/uptime"),
    "P6": ("chroot /proc/1/root , ", "/r", "/proc/uptime"),
    "F03, a copy": ("mount / /mnt - bind+rec , ", "/mnt/r", "/mnt/proc/uptime"),
    "G13, a tree of its own": ("mount proc /t proc - , ", "/r", "/t/uptime"),
    "G13, one in P5": (f"{INNER}mount proc /t proc - , ", "/r", "/t/uptime"),
}


@pytest.fixture
def target(containers: Launch, closed: Path) -> Container:
    """All capabilities; /r a read-only volume."""
    return containers(privileged=True, mounts=(bind(closed, "/r", "ro"),)).up()


def test_locked_in_every_position(target: Container) -> None:
    table = Path(f"/proc/{target.pid}/mountinfo")
    before = table.read_text()
    for position, (steps, volume, node) in POSITIONS.items():
        lines = target.sh(f"probe unshare mnt , {steps}exec attack locked {volume} {node}").ok().lines
        assert lines[-1] == "54 tried", position
        assert all(line.partition(": ")[2] for line in lines[:-1]), (position, lines)
    assert table.read_text() == before


def test_d11_no_namespace_by_its_handle(target: Container) -> None:
    """Container root found that of a container being made to join it, with the host's tree in it."""
    assert target.exec("attack", "handles").lines[-1] == "EPERM"
