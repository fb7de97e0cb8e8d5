"""Id ranges: exclusive, leased as long as the container's processes live, first the lowest."""
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FIRST = 100000
SIZE = 65536


def first_id(container: Container) -> int:
    """The host id of container root; the map must be one line of the whole range."""
    match = re.fullmatch(r" {9}0 +(\d+) +65536\n", container.exec("cat", "/proc/self/uid_map").ok().out)
    assert match
    assert container.exec("cat", "/proc/self/gid_map").out == match.group(0)
    return int(match.group(1))


def test_first_ranges(containers: Launch) -> None:
    """The lowest range comes first, the next container has the one behind it, and a returned one is given out again."""
    first, second = containers().up(), containers().up()
    assert first.exec("cat", "/proc/self/uid_map").out == "         0     100000      65536\n"
    assert (first_id(first), first_id(second)) == (FIRST, FIRST + SIZE)
    first.remove()
    assert first_id(containers().up()) == FIRST


def test_processes_run_with_the_leased_ids(container: Container) -> None:
    assert Path(f"/proc/{container.pid}").stat().st_uid == first_id(container)


def test_files_of_the_rootfs_are_container_roots(container: Container) -> None:
    """The directory on disk keeps root as its owner: the shift is the mount's."""
    assert container.exec("stat", "-c", "%u:%g", "/bin/busybox", "/home/user").out == "0:0\n1000:1000\n"
    container.sh("touch /made; chown 5:6 /made").ok()
    made = (container.bundle / "rootfs/made").stat()
    assert (made.st_uid, made.st_gid) == (5, 6)


@pytest.fixture
def open_directory(playground: Path) -> Iterator[Path]:
    """A directory of user 1234 that everybody on the host reaches."""
    directory = playground / "open"
    directory.mkdir()
    directory.chmod(0o777)
    os.chown(directory, 1234, 1234)
    yield directory
    shutil.rmtree(directory)


def test_volume_that_others_reach_gives_no_set_uid_root(containers: Launch, open_directory: Path) -> None:
    """Container root is the owner of the source, every other id keeps the leased one on disk."""
    container = containers(mounts=(bind(open_directory, "/t"),)).up()
    container.sh("cp /bin/busybox /t/suid; chmod 4755 /t/suid; touch /t/users; chown 1000 /t/users").ok()
    assert (open_directory / "suid").stat().st_uid == 1234
    assert (open_directory / "users").stat().st_uid == first_id(container) + 1000


@pytest.fixture
def small_pool(runtime: Runtime, playground: Path) -> Runtime:
    """The same runtime, with a line of its own in /etc/subuid and /etc/subgid: room for two containers."""
    script = ""
    for name in ("subuid", "subgid"):
        (playground / name).write_text(f"eci:{FIRST}:{2 * SIZE}\n")
        script += f"touch /etc/{name}; mount --bind {playground}/{name} /etc/{name};"
    return replace(runtime, before=script)


def test_empty_pool_is_one_sentence(containers: Launch, small_pool: Runtime) -> None:
    """All taken: nothing is made, and the user reads how many there are and what to do. One removed makes room for one."""
    made = [containers(under=small_pool) for _ in range(3)]
    for container in made[:2]:
        container.up()
    refused = made[2].create()
    assert refused.status != 0
    assert re.search(r"no free id range: 2 of 2 ", refused.err)
    assert len(refused.err.splitlines()) == 1
    made[0].remove()
    assert first_id(made[2].up()) == FIRST


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["runc"], indirect=True)  # one of the two is enough: the leases are ours
def test_two_hundred_at_once(containers: Launch, root_image: Path) -> None:
    """Ranges are exclusive also when creates overlap."""
    made = [containers(args=("sleep", "1000"), rootfs=str(root_image)) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(Container.create, made):
            result.ok()
    starts = {container.record().ids.start for container in made}
    assert len(starts) == 200
    assert all((start - FIRST) % SIZE == 0 for start in starts)
