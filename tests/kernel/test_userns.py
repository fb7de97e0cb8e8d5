"""User namespaces: made for their maps, and asked whose they are."""
import os
import signal

import pytest

from eci_supervisor.idmap.leases import Leases, mapped_starts
from eci_supervisor.idmap.maps import Extent, IdMaps, shifted
from eci_supervisor.idmap.userns import OwnerKind, maps_of, owner_of, user_namespace
from eci_supervisor.linux.namespaces import CLONE_NEWNET, CLONE_NEWUSER, setns, unshare
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.model.ids import IdRange
from tests.support.isolated import isolated

pytestmark = pytest.mark.requires("root")

IDS = IdRange(3_000_000)


def children() -> set[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def test_its_maps_are_as_asked_and_its_process_is_gone() -> None:
    wanted = IdMaps((Extent(1000, 3_000_000, 1), Extent(3_000_001, 3_000_001, 65_535)), (Extent(0, 3_000_000, 65_536),))
    before = children()
    with user_namespace(wanted) as user:
        assert maps_of(user.fileno()) == wanted
    assert children() == before


def test_maps_that_the_kernel_refuses_leave_nothing_behind() -> None:
    before = children()
    with pytest.raises(OSError, match="Invalid argument"):
        user_namespace(IdMaps((Extent(0, 5, 10), Extent(3, 50, 10)), (Extent(0, 5, 1),)))
    assert children() == before


def test_the_hosts_own_namespace() -> None:
    assert owner_of("/proc/self/ns/net").kind is OwnerKind.HOST
    assert owner_of("/proc/self/ns/user").kind is OwnerKind.HOST


@isolated
def test_another_namespace_of_the_host_as_ip_netns_makes_them() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    host = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    other = os.open("/proc/self/ns/net", os.O_RDONLY)
    setns(host, CLONE_NEWNET)
    found = owner_of(f"/proc/self/fd/{other}")
    os.kill(pid, signal.SIGKILL)
    assert (found.kind, found.namespace, found.user) == (OwnerKind.INITIAL, CLONE_NEWNET, None)


def in_container() -> int:
    """A process in a user namespace of IDS, and in a network namespace of its own there."""
    read, write = os.pipe()
    with user_namespace(shifted(IDS)) as user:
        pid = os.fork()
        if pid == 0:
            setns(user.fileno(), CLONE_NEWUSER)
            unshare(CLONE_NEWNET)
            os.setgid(0)
            os.setuid(0)
            os.write(write, b"x")
            while True:
                signal.pause()
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    return pid


def test_another_containers_namespace_is_told_with_its_maps() -> None:
    pid = in_container()
    try:
        for name in ("net", "user"):
            found = owner_of(f"/proc/{pid}/ns/{name}")
            assert found.kind is OwnerKind.OTHER
            assert found.maps == shifted(IDS)
            status = os.stat(f"/proc/{pid}/ns/user")
            assert found.identity == (status.st_dev, status.st_ino)
            assert found.user is not None
            found.user.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_what_is_no_namespace() -> None:
    with pytest.raises(OSError, match="ioctl"):
        owner_of("/etc/passwd")


def test_a_killed_create_whose_container_lives_keeps_its_range(tmp_path: "os.PathLike[str]") -> None:
    """Nobody has noted its init yet: the map of a living process speaks for it."""
    leases = Leases(StateDir(os.fspath(tmp_path)))
    creator = os.fork()
    if creator == 0:
        while True:
            signal.pause()
    leases.hold(IDS, "a", creator_pid=creator, creator_start=start_time(creator) or 0)
    pid = in_container()
    os.kill(creator, signal.SIGKILL)
    os.waitpid(creator, 0)
    assert IDS.start in mapped_starts()
    assert leases.reclaim() == ()
    assert not leases.release("a")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert leases.reclaim() == ("a",)
