"""Containers that join another's namespaces, or bring maps of their own: whose user namespace, whose ids, for how long."""
import os
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import read_config, write_config
from tests.support.driver import Container, Result

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
JOINED = {"network": "net", "ipc": "ipc", "uts": "uts"}


def joining(member: Container, **paths: str) -> Container:
    """`member`, changed to take namespaces by path."""
    spec = read_config(member.bundle)
    for entry in spec["linux"]["namespaces"]:
        if entry["type"] in paths:
            entry["path"] = paths[entry["type"]]
    write_config(member.bundle, spec)
    return member


def pod(containers: Launch) -> tuple[Container, Container]:
    """A sandbox and a member, as Kubernetes makes them."""
    sandbox = containers().up()
    paths = {kind: f"/proc/{sandbox.pid}/ns/{name}" for kind, name in JOINED.items()}
    return sandbox, joining(containers(), **paths).up()


def user_namespace(container: Container) -> str:
    return os.readlink(f"/proc/{container.pid}/ns/user")


def refusal(result: Result) -> str:
    assert result.status != 0
    return result.err


def test_a_pod_shares_one_user_namespace(containers: Launch) -> None:
    sandbox, member = pod(containers)
    assert user_namespace(member) == user_namespace(sandbox)
    assert member.record().ids == sandbox.record().ids
    assert member.record().joined
    for name in JOINED.values():
        assert os.readlink(f"/proc/{member.pid}/ns/{name}") == os.readlink(f"/proc/{sandbox.pid}/ns/{name}")


def test_a_members_trees_are_locked_and_its_calls_are_vetted(containers: Launch) -> None:
    """The network namespace belongs to the sandbox's user namespace, so only the member of that can have a sysfs of it."""
    _, member = pod(containers)
    assert member.sh("cat /proc/uptime; ls /sys/class/net; umount /proc/uptime").out.split("\n")[1] == "lo"
    assert "eci" in Path(f"/proc/{member.pid}/mountinfo").read_text()


def test_the_range_is_the_members_when_the_sandbox_is_gone(containers: Launch) -> None:
    sandbox, member = pod(containers)
    ids = member.record().ids
    sandbox.remove()
    other = containers().up()
    assert other.record().ids != ids
    member.remove()
    assert containers().up().record().ids == ids


def test_two_owners_are_refused(containers: Launch) -> None:
    first, second = containers().up(), containers().up()
    both = joining(containers(), network=f"/proc/{first.pid}/ns/net", ipc=f"/proc/{second.pid}/ns/ipc")
    assert "different user namespaces" in refusal(both.create())


def test_a_file_that_is_no_namespace_is_refused(containers: Launch) -> None:
    assert "no network namespace" in refusal(joining(containers(), network="/etc/hostname").create())


def test_maps_of_its_own_are_kept(containers: Launch) -> None:
    """What CRI does for `hostUsers: false`, and Docker for userns-remap."""
    container = containers()
    spec = read_config(container.bundle)
    spec["linux"]["namespaces"].append({"type": "user"})
    line = [{"containerID": 0, "hostID": 900_000_000, "size": 65536}]
    spec["linux"].update(uidMappings=line, gidMappings=line)
    write_config(container.bundle, spec)
    container.up()
    assert container.exec("cat", "/proc/self/uid_map").out.split() == ["0", "900000000", "65536"]
