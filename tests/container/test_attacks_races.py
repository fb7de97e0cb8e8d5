"""Attacks of several steps: what was judged changes afterwards, namespaces and processes that go, other ABIs, a FUSE server that hangs."""
import os
from pathlib import Path

import pytest

from tests.container.conftest import Launch, write_rules
from tests.support.bundle import bind
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
SECONDS = "0.5"


@pytest.fixture
def target(containers: Launch, closed: Path, playground: Path) -> Container:
    """All capabilities; /r a read-only volume, /w a writable one, /dev/fuse open to all."""
    writable, fuse = playground / "closed/writable", playground / "closed/fuse"
    writable.mkdir()
    os.mknod(fuse, 0o20666, os.makedev(10, 229))
    fuse.chmod(0o666)
    return containers(privileged=True, mounts=(bind(closed, "/r", "ro"), bind(writable, "/w"), bind(fuse, "/dev/fuse"))).up()


def attack(container: Container, *words: str) -> list[str]:
    return container.exec("attack", *words).ok().lines


def test_a01_a12_target_flips(target: Container) -> None:
    """The kernel reads the path again, and the working directory: the protected mount's flag is locked whichever it finds."""
    assert attack(target, "flip-target", SECONDS, "/w", "/r") == ["writable 0 times"]
    assert attack(target, "flip-cwd", SECONDS, "/w", "/r") == ["writable or gone 0 times"]


def test_a02_type_flips(target: Container) -> None:
    """A name that turns into proc behind the judgement is the kernel's EPERM."""
    assert attack(target, "flip-type", SECONDS, "/t")[0].endswith(", without nodes 0")


def test_d01_d02_d03_other_abis(target: Container) -> None:
    """int 0x80 and x32 get the decisions of the 64-bit calls."""
    assert attack(target, "abis", "/r", "/t") == [
        "mount remount: EPERM", "oldumount node: EINVAL", "umount2 node: EINVAL", "umount2 protected detach: EINVAL",
        "oldumount protected: EINVAL", "bind proc: OK", "unshare bad: EINVAL", "setns bad: EBADF", "open_tree: OK",
        "syslog: EPERM", "bpf: EPERM", "init_module: EPERM", "mount proc: OK", "it is virtual", "oldumount of it: OK",
        *(f"x32 {call}: ENOSYS" for call in ("mount", "umount2", "unshare", "setns")), "x32 fsopen: ENOSYS", "x32 bpf: EPERM",
    ]  # fmt: skip


def test_e10_a_fuse_server_that_hangs(target: Container) -> None:
    """Who asks waits, until the mounter's deadline; the next call is served at once, and so is another process'."""
    assert attack(target, "fuse-hang", "/mnt", "/t") == [
        "mount below: EIO", "in time: yes", "mount elsewhere: OK", "umount elsewhere: OK"]
    assert target.probe("mount", "proc", "/t", "proc", "-", ",", "umount", "/t") == ["mount: OK", "umount: OK"]


def test_e10_a_fuse_server_that_lets_nobody_close(containers: Launch, runtime: Runtime, closed: Path, playground: Path) -> None:
    """A file that the caller is to be given must not be one that the mounter waits to close."""
    write_rules(runtime, mountSources=[str(closed)])
    fuse = playground / "closed/fuse"
    os.mknod(fuse, 0o20666, os.makedev(10, 229))
    fuse.chmod(0o666)
    container = containers(privileged=True, mounts=(bind(fuse, "/dev/fuse"),)).up()
    runtime.settings.unlink()
    assert attack(container, "fuse-flush", "/mnt", "/t") == [
        "clone: EIO", "in time: yes", "mount elsewhere: OK", "umount elsewhere: OK"]


@pytest.mark.parametrize("before", ["unshare mnt", "userns , unshare mnt"])
def test_g13_subset_outlives_its_init(target: Container, before: str) -> None:
    """What keeps a procfs without nodes from counting as fully visible must not go with the processes that it shows."""
    ended = "probe unshare pid , fork , mount proc /t proc - subset=pid"
    lines = target.sh(f"probe {before} , exec sh -c '{ended}; probe unshare pid , fork , fsopen proc unmarked; ls /t'").lines
    assert lines[-6:] == ["mount: OK", "unshare: OK", "fork: OK", "fsopen: EPERM", "self", "thread-self"]
