"""Namespaces by every call that makes or joins one, and acceptance 76: what an admin's limits make of it."""
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch, write_rules
from tests.container.test_calls_of_the_host import calls
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user")
TWO_DEEP = "unshare user , map , unshare user , map"
Rules = Callable[..., None]


@pytest.fixture
def rules(runtime: Runtime) -> Iterator[Rules]:
    """Writes the admin's rules for the containers made from then on."""
    yield lambda **keys: write_rules(runtime, **keys)
    runtime.settings.unlink(missing_ok=True)


def kinds(container: Container, call: str) -> dict[str, str]:
    """Each kind by one call, each in a process of its own."""
    script = "; ".join(f"namespaces {call} {kind}" for kind in KINDS)
    return {line.split(":")[0].split()[1]: line.partition(": ")[2] for line in container.sh(script).ok().lines}


@pytest.mark.parametrize("trap", ["all", "needed"])
def test_d04_each_kind_by_each_call(containers: Launch, rules: Rules, trap: str) -> None:
    """As the kernel has it, in both trap sets; only what is trapped is recorded."""
    rules(trap=trap)
    container = containers(privileged=True).up()
    for call in ("unshare", "clone", "clone3", "setns-pidfd"):
        expected = dict.fromkeys(KINDS, "OK")
        assert kinds(container, call) == expected, call
    assert calls(container, "unshare time", "setns /proc/1/ns/net net", "setns /proc/1/ns/net uts", "setns /etc/passwd none",
                 "setns /proc/self/ns/user user", "clone none", "unshare none") == {
        "unshare time": "OK", "setns /proc/1/ns/net net": "OK", "setns /proc/1/ns/net uts": "EINVAL", "setns /etc/passwd none": "EINVAL",
        "setns /proc/self/ns/user user": "EINVAL", "clone none": "OK", "unshare none": "OK"}
    seen = {word for line in container.runtime.eci("events", container.id).ok().lines for word in line.split()}
    assert ({"unshare", "clone", "setns"} & seen) == ({"unshare", "clone", "setns"} if trap == "all" else set())


def test_d04_without_capabilities(container: Container) -> None:
    """A user namespace is everybody's, the rest needs a capability in one."""
    expected = dict.fromkeys(KINDS, "EPERM") | {"user": "OK"}
    assert kinds(container, "unshare") == expected
    assert kinds(container, "clone") == expected


def test_76_depth_and_number_of_user_namespaces(containers: Launch, rules: Rules) -> None:
    """By unshare, clone and, where the counter alone decides, clone3."""
    rules(limits={"nestedUserNamespaces": 2})
    container = containers(privileged=True).up()
    for call in ("unshare", "clone", "clone3"):
        got = container.sh(f"namespaces {TWO_DEEP} , {call} user").ok().lines[-1:]
        assert got == [f"{call} user: ENOSPC"]
    limit = "/proc/sys/user/max_user_namespaces"
    assert calls(container, f"write {limit} 9") == {f"write {limit} 9": "EROFS"}
    fresh = "mount proc /t proc - , write /t/sys/user/max_user_namespaces 9 , umount /t"
    assert container.probe(*fresh.split()) == ["mount: OK", "write: EROFS", "umount: OK"]
    locked = "mount - /proc/sys/user - remount+bind , umount /proc/sys/user"
    assert container.probe(*locked.split()) == ["mount: EPERM", "umount: EINVAL"]
    assert container.sh(f"namespaces unshare user , map , write {limit} 9 , unshare user , map , unshare user").ok().lines[-1] == (
        "unshare user: ENOSPC")
    assert container.sh(f"cat {limit}").ok().lines == ["2"]
    assert Path(limit).read_text() != "2\n"


def test_76_depth_alone(containers: Launch, rules: Rules) -> None:
    """Of the thread's own user namespace; clone3 is not there, so that callers take clone."""
    rules(nestedDepth=2)
    container = containers(privileged=True).up()
    for call in ("unshare", "clone"):
        assert container.sh(f"namespaces {TWO_DEEP} , {call} user , {call} mnt").ok().lines == [
            "unshare user: OK", "map: OK", "unshare user: OK", "map: OK", f"{call} user: ENOSPC", f"{call} mnt: OK"]
    assert calls(container, "clone3 none", "unshare user+mnt", "map", "clone user+pid") == {
        "clone3 none": "ENOSYS", "unshare user+mnt": "OK", "map": "OK", "clone user+pid": "OK"}


def test_kinds_that_the_admin_does_not_want(containers: Launch, rules: Rules) -> None:
    """Bit by bit; the kernel's counters stop what no filter sees; the container has its own all the same."""
    rules(namespaces=["net", "user", "mnt"])
    container = containers(privileged=True).up()
    refused = dict.fromkeys(KINDS, "OK") | dict.fromkeys(("net", "user", "mnt"), "EPERM")
    assert kinds(container, "unshare") == refused
    assert kinds(container, "clone") == refused
    assert set(kinds(container, "clone3").values()) == {"ENOSYS"}
    assert calls(container, "unshare pid+net", "unshare uts", "setns /proc/1/ns/net net") == {
        "unshare pid+net": "EPERM", "unshare uts": "OK", "setns /proc/1/ns/net net": "OK"}
    assert container.sh("cat /proc/sys/user/max_net_namespaces /proc/sys/user/max_user_namespaces").ok().lines == ["0", "0"]
    assert container.probe(*["mount", "proc", "/t", "proc", "-", ",", "statfs", "/t/uptime", ",", "umount", "/t"])[0] == "mount: OK"
    assert set(calls(container, "unshare ipc").values()) == {"OK"}
