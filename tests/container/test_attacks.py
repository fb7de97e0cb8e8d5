"""Container root with all capabilities against what is locked: by mount calls, by the new mount API, with and without a supervisor.

An errno alone proves little: each time the container's own mounts are as they were.
"""
import os
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container
from tests.support.isolated import bind_from_outside
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FUSE_MAGIC = "65735546"

# What is done, with the errno while supervised and the one while nobody supervises. A trapped call whose listener is gone is ENOSYS.
ATTACKS = (
    ("umount /proc/uptime", "EINVAL", "ENOSYS"),
    ("umount /proc/uptime detach", "EINVAL", "ENOSYS"),
    ("umount /r", "EINVAL", "ENOSYS"),
    ("mount - /r - remount+bind", "EPERM", "ENOSYS"),
    ("mount - /r - remount+bind+move", "EPERM", "ENOSYS"),
    ("mount - /r - remount+bind+private+rec", "EPERM", "ENOSYS"),
    ("mount - /r - remount+bind+magic", "EPERM", "ENOSYS"),
    ("mount /proc/uptime /t/file - move", "EINVAL", "ENOSYS"),
    ("mount /r /t - move", "EINVAL", "ENOSYS"),
    ("mount none /t devtmpfs -", "EPERM", "ENOSYS"),
    ("setns /mnt/hostnet", "EPERM", "ENOSYS"),
    ("move-mount /proc/uptime /t/file", "EINVAL", "EINVAL"),
    ("move-mount /r /t", "EINVAL", "EINVAL"),
    ("writable /r", "EPERM", "ENOSYS"),
    ("fsopen proc unmarked", "EPERM", "ENOSYS"),
    ("fsopen sysfs unmarked", "EPERM", "ENOSYS"),
    ("open /r/mem", "EACCES", "EACCES"),
    ("mknod /tmp/mem c 1 1", "EPERM", "EPERM"),
    ("open /r/there w", "EROFS", "EROFS"),
)
POSITIONS = {"root": "", "chroot": "chroot /proc/1/root , ", "another thread group": "fork , "}


@pytest.fixture
def target(containers: Launch, closed: Path, host_network: Path) -> Container:
    """All capabilities; /r a read-only volume with a device node in it, /mnt/hostnet the host's network namespace, /t a writable place."""
    os.mknod(closed / "mem", 0o20666, os.makedev(1, 1))
    container = containers(privileged=True, mounts=(bind(closed, "/r", "ro"),)).up()
    container.sh("touch /t/file /mnt/hostnet").ok()
    bind_from_outside(container.pid, host_network, "/mnt/hostnet")
    return container


def mounts(container: Container) -> list[str]:
    return Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()


def script(position: str) -> list[str]:
    """All attacks in one process each, so that one that succeeds does not spoil the next."""
    return [f"{position}{attack}".strip() for attack, _, _ in ATTACKS]


def results(container: Container, position: str) -> dict[str, str]:
    """What each attack got."""
    command = "; ".join(f"probe {line} | tail -n 1" for line in script(position))
    lines = container.sh(command).ok().lines
    return {attack: line.partition(": ")[2] for (attack, _, _), line in zip(ATTACKS, lines, strict=True)}


@pytest.mark.parametrize("position", POSITIONS)
def test_supervised(target: Container, position: str) -> None:
    before = mounts(target)
    assert results(target, POSITIONS[position]) == {attack: errno for attack, errno, _ in ATTACKS}
    assert mounts(target) == before


def test_unsupervised(containers: Launch, target: Container) -> None:
    """With every process of ours dead the kernel's locks hold. The attacker waits inside: an exec would bring a supervisor again."""
    before = mounts(target)
    command = "; ".join(f"probe {line} | tail -n 1" for line in script(""))
    waiting = "until test -e /tmp/go; do sleep 0.05; done"
    target.sh(f"({waiting}; {{ {command}; }} >/tmp/results 2>&1; touch /tmp/done) >/dev/null 2>&1 &").ok()
    target.kill_supervisor()
    rootfs = target.bundle / "rootfs"
    (rootfs / "tmp/go").touch()
    wait_until((rootfs / "tmp/done").exists, "all attacks have been tried")
    lines = (rootfs / "tmp/results").read_text().splitlines()
    got = {attack: line.partition(": ")[2] for (attack, _, _), line in zip(ATTACKS, lines, strict=True)}
    assert got == {attack: errno for attack, _, errno in ATTACKS}
    assert mounts(target) == before


@pytest.mark.parametrize(
    "steps",
    [
        "mount proc /t proc -",
        "mount-fd proc /t proc -",
        "chdir / , mount proc t proc -",
        "mount proc /t proc magic",
        "chroot /home , mount proc /user proc -",
        "unshare mnt , mount proc /t proc -",
        "userns , unshare mnt+pid , fork , mount proc /t proc -",
    ],
)
def test_new_procfs_is_virtual(privileged: Container, steps: str) -> None:
    """Whatever the target is called, and whoever owns the namespaces, /proc/uptime of a new procfs is a file of our FUSE."""
    where = "/user/uptime" if "chroot" in steps else "/t/uptime"
    lines = privileged.probe(*steps.split(), ",", "statfs", where)
    assert lines[-2:] == [f"{where} is {FUSE_MAGIC}", "statfs: OK"]
    assert not [line for line in lines if not line.endswith("OK") and "is" not in line]


def test_new_sysfs_is_a_locked_tree(privileged: Container) -> None:
    assert privileged.probe("mount", "sysfs", "/t", "sysfs", "-") == ["mount: OK"]
    assert privileged.probe("umount", "/t/devices/system/cpu/online") == ["umount: EINVAL"]
    assert privileged.probe("fsopen", "sysfs", "unmarked") == ["fsopen: EPERM"]


def test_ordinary_container_may_not_mount(container: Container) -> None:
    """Without CAP_SYS_ADMIN the answer is the kernel's, ours or not."""
    assert container.probe("mount", "proc", "/t", "proc", "-") == ["mount: EPERM"]
    assert container.probe("mount", "none", "/t", "tmpfs", "-") == ["mount: EPERM"]
    assert container.probe("umount", "/proc/uptime") == ["umount: EPERM"]
    assert container.probe("unshare", "mnt") == ["unshare: EPERM"]


def test_user_with_a_namespace_of_its_own(container: Container) -> None:
    """Full capabilities in a child user namespace are worth nothing in the container's mount namespace."""
    lines = container.probe("setuid", "1000", ",", "userns", ",", "mount", "proc", "/t", "proc", "-", ",", "umount", "/proc/uptime")
    assert lines == ["setuid: OK", "userns: OK", "mount: EPERM", "umount: EPERM"]
