"""E07: images in which what is mounted or made at start is a link out of the rootfs, a FIFO, a file, or leads nowhere."""
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FILE, FIFO = "a file", "a FIFO"


@pytest.fixture
def outside(playground: Path) -> Iterator[Path]:
    """A directory of the host that everybody may write to: what a link of an image would love to lead to."""
    directory = playground / "outside"
    directory.mkdir()
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def put(container: Container, path: str, what: str) -> None:
    """Puts `what` (FILE, FIFO or the target of a link) at `path` of the rootfs, in place of what is there."""
    place = container.bundle / "rootfs" / path
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    if what == FILE:
        place.touch()
    elif what == FIFO:
        os.mkfifo(place)
    else:
        place.symlink_to(what)


def test_e07_refused_in_a_sentence(containers: Launch, outside: Path) -> None:
    for path in ("proc", "sys", "dev"):
        for what in (str(outside), "/nowhere/at/all", FIFO):
            container = containers()
            put(container, path, what)
            result = container.create()
            assert (result.status, result.err.count("\n")) == (1, 1), (path, what)
            assert result.err.startswith(f"eci-runc: create {container.id}: mount o")
    assert not list(outside.iterdir())


def test_e07_volume_stays_inside(containers: Launch, outside: Path, closed: Path) -> None:
    """Refused, or mounted at a place inside; never at what the link says on the host."""
    for what in (str(outside), f"../../../../..{outside}", "/t", "/proc/self/root", FILE, FIFO):
        container = containers(mounts=(bind(closed, "/mnt/target/below", "ro"),))
        put(container, "mnt/target", what)
        result = container.create()
        assert result.status == 0 or result.err.startswith(f"eci-runc: create {container.id}: mount o"), what
        assert not list(outside.iterdir())


def test_e07_names_that_the_runtime_makes(containers: Launch, outside: Path) -> None:
    """Below /dev, and what an engine mounts elsewhere: links lead to a place inside."""
    for path in ("dev/null", "dev/pts", "dev/console", "dev/shm", "etc", "run", "proc/sys", "sys/fs/cgroup"):  # in the image
        container = containers()
        put(container, path, f"{outside}/x")
        container.create().ok()
        container.remove()
    assert not list(outside.iterdir())


def test_j02_working_directory_is_inside(containers: Launch) -> None:
    """CVE-2024-21626: none of the runtime's descriptors is a way out."""
    container = containers().up()
    for number in range(3, 11):
        found = container.exec("ls", "-d", "home/user", options=(f"--cwd=/proc/self/fd/{number}/../../..",))
        assert found.status != 0 or "home/user" in found.out
