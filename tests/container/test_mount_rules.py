"""Acceptance 77: what an admin's rule for file system types makes of mount(2) and of the new mount API, also while the name flips."""
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch, write_rules
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FUSE_MAGIC, TMPFS_MAGIC = "65735546", "1021994"


@pytest.fixture
def ruled(containers: Launch, runtime: Runtime) -> Iterator[Container]:
    """All capabilities, but no overlay and no ramfs."""
    write_rules(runtime, mountTypes={"type": "deny", "list": ["overlay", "ramfs"]})
    yield containers(privileged=True).up()
    runtime.settings.unlink()


def probed(container: Container, *steps: str) -> list[str]:
    return container.probe(*" , ".join(steps).split())


def test_77_denied_types_by_both_ways(ruled: Container) -> None:
    table = Path(f"/proc/{ruled.pid}/mountinfo")
    before = table.read_text()
    layers = "lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w"
    assert probed(ruled, f"mount o /t overlay - {layers}", "mount o /t overlay.x -", "mount r /t ramfs magic", "fsopen overlay",
                  "fsopen ramfs", "userns", "unshare mnt", "mount r /t ramfs -", "fsopen overlay") == [
        "mount: EPERM", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM", "userns: OK", "unshare: OK", "mount: EPERM",
        "fsopen: EPERM"]
    assert table.read_text() == before


def test_77_other_types_are_as_without_the_rule(ruled: Container) -> None:
    """Emulated with the copies: options, flags, source, relative targets, errors."""
    lines = probed(
        ruled, "unshare mnt", "mount name /t tmpfs ro+nosuid size=64k,mode=700", "statfs /t", "mknod /t/x c 0 0", "umount /t",
            "chdir /home",
        "mount - user tmpfs -", "statfs /home/user", "umount /home/user", "mount x /t tmpfs - bogus=1", "mount x /t nosuch -",
        "mount x /none tmpfs -", "mount x /etc/passwd tmpfs -", "mount x /t - -", "mount x /t ext4 -", "fsopen tmpfs", "fsopen nosuch",
        "mount proc /t proc -", "statfs /t/uptime", "umount /t", "fsopen proc", "unshare ipc+cgroup",
        "mount m /t mqueue -", "mount c /t cgroup2 -")
    assert lines == [
        "unshare: OK", "mount: OK", f"/t is {TMPFS_MAGIC}", "statfs: OK", "mknod: EROFS", "umount: OK", "chdir: OK", "mount: OK",
        f"/home/user is {TMPFS_MAGIC}", "statfs: OK", "umount: OK", "mount: EINVAL", "mount: ENODEV", "mount: ENOENT", "mount: ENOTDIR",
        "mount: EINVAL", "mount: EPERM", "fsopen: OK", "fsopen: ENODEV", "mount: OK", f"/t/uptime is {FUSE_MAGIC}", "statfs: OK",
        "umount: OK", "fsopen: OK", "unshare: OK", "mount: OK", "mount: OK"]
    mounted = ruled.sh("mount -t tmpfs -o size=64k,nodev,noatime name /t && grep ' /t ' /proc/self/mountinfo; umount /t").ok().out
    assert "nodev,noatime" in mounted
    assert "tmpfs name rw,size=64k" in mounted


def test_77_an_unprivileged_user_gets_the_kernels_errno(ruled: Container) -> None:
    assert probed(ruled, "setuid 1000", "mount x /t tmpfs -", "mount x /t overlay -", "fsopen tmpfs", "fsopen proc") == [
        "setuid: OK", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM"]


def test_77_a_name_that_flips_never_mounts_what_is_denied(ruled: Container) -> None:
    assert ruled.exec("attack", "flip-denied", "1", "/t").ok().lines == ["tmpfs, ramfs 0"]


def test_77_only_what_is_listed(containers: Launch, runtime: Runtime) -> None:
    write_rules(runtime, mountTypes={"type": "allow", "list": ["tmpfs"]})
    try:
        container = containers(privileged=True).up()
    finally:
        runtime.settings.unlink()
    assert probed(container, "mount x /t tmpfs -", "mount x /mnt proc -", "mount x /mnt sysfs -", "mount x /mnt devpts -", "fsopen proc",
                  "fsopen mqueue", "fsopen tmpfs", "umount /t") == [
        "mount: OK", "mount: EPERM", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM", "fsopen: OK", "umount: OK"]


@pytest.mark.parametrize("key", ["mountSources", "mountTargets"])
def test_a_rule_that_nothing_holds_to_makes_no_container(containers: Launch, runtime: Runtime, key: str) -> None:
    write_rules(runtime, **{key: ["/srv" if key == "mountSources" else "volume:/data"]})
    try:
        result = containers().create()
    finally:
        runtime.settings.unlink()
    assert result.status == 1
    assert f"eci.syscalls.{key}: this version cannot hold to it" in result.err
