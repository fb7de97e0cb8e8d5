"""Acceptance 31, 70 to 75: calls that belong to the host or to a namespace of the container's, in one container each."""
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch, write_rules
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")

# x86-64's numbers; the arguments are such that the kernel would say something else than EPERM where it says no.
FLOOR = {
    "syslog": "103 10", "bpf": "321 0", "perf_event_open": "298 0", "userfaultfd": "323 -1", "open_by_handle_at": "304 -1 0 0",
    "io_uring_setup": "425 0 0", "io_uring_enter": "426 -1", "io_uring_register": "427 -1 99", "init_module": "175 0 0 0",
    "finit_module": "313 -1 0 0", "delete_module": "176 0 0", "kexec_load": "246 0 0 0 0", "kexec_file_load": "320 -1 -1 0 0 0",
}  # fmt: skip


def calls(container: Container, *operations: str) -> dict[str, str]:
    """What each operation of tests/programs/namespaces.c got; all in one process."""
    lines = container.exec("namespaces", *" , ".join(operations).split()).ok().lines
    return {name: got for name, colon, got in (line.partition(": ") for line in lines) if colon}


def test_31_a_nested_user_namespace_without_a_pid_namespace_mounts_no_procfs(privileged: Container) -> None:
    lines = privileged.probe(*["userns", ",", "unshare", "mnt", ",", "mount", "proc", "/t", "proc", "-"])
    assert lines == ["userns: OK", "unshare: OK", "mount: EPERM"]


def test_70_mknod(privileged: Container) -> None:
    """Devices are the kernel's EPERM, after what is wrong with the path; whiteouts and FIFOs are files."""
    assert calls(
        privileged, "mknod /tmp/null c 1 3", "mknod /tmp/sda b 8 0", "mknod /tmp/whiteout c 0 0", "mknod /tmp/fifo p 0 0",
        "mknod /tmp/file f 0 0", "mknod /etc/passwd c 1 3", "mknod /no/such c 1 3", "mknod /tmp/x x 0 0", "open /dev/null") == {
        "mknod /tmp/null c 1 3": "EPERM", "mknod /tmp/sda b 8 0": "EPERM", "mknod /tmp/whiteout c 0 0": "OK", "mknod /tmp/fifo p 0 0": "OK",
        "mknod /tmp/file f 0 0": "OK", "mknod /etc/passwd c 1 3": "EEXIST", "mknod /no/such c 1 3": "ENOENT", "mknod /tmp/x x 0 0": "EPERM",
        "open /dev/null": "OK"}


def test_71_72_73_reboot_names_and_swap(privileged: Container) -> None:
    """Each acts on the container's own namespace, or not at all."""
    host = os.uname().nodename, Path("/proc/swaps").read_text()
    long = "x" * 65
    assert privileged.exec("namespaces", *["reboot", "restart", ",", "reboot", "halt", ",", "reboot", "bad"]).ok().lines == [
        "HUP", "reboot restart: OK", "INT", "reboot halt: OK", "reboot bad: EINVAL"]
    assert calls(privileged, "hostname other", f"hostname {long}", "domainname d", "swap off /etc/passwd", "swap on /etc/passwd") == {
        "hostname other": "OK", f"hostname {long}": "EINVAL", "domainname d": "OK", "swap off /etc/passwd": "EPERM",
        "swap on /etc/passwd": "EPERM"}
    assert privileged.sh("hostname; wc -l < /proc/swaps; touch /etc/fstab; swapoff -a").ok().lines == ["other", "1"]
    assert (os.uname().nodename, Path("/proc/swaps").read_text()) == host


def test_74_keys_in_system_mode(containers: Launch, runtime: Runtime) -> None:
    """A session keyring by name, as runtimes inside make one; another container does not find the key."""
    system = Runtime(runtime.real, runtime.directory, runtime.token, mode="system")
    first, second = (containers(under=system, privileged=True).up() for _ in range(2))
    assert calls(first, "keyring ring own", "key own") == {"keyring ring own": "OK", "key own": "OK"}
    assert calls(second, "key own", "keyring ring other", "key own")["key own"] == "ENOKEY"


def test_75_floor(privileged: Container) -> None:
    """With all capabilities and no profile of the engine's."""
    assert calls(privileged, *(f"call {call}" for call in FLOOR.values())) == {f"call {call}": "EPERM" for call in FLOOR.values()}
    assert f'floor={" ".join(FLOOR)}' in privileged.runtime.eci("events", privileged.id).ok().out


@pytest.fixture
def with_userfaultfd(runtime: Runtime) -> Iterator[None]:
    """The admin takes one call out of the floor, and adds one to it."""
    write_rules(runtime, allow=["userfaultfd"], deny=["ptrace"])
    yield
    runtime.settings.unlink()


@pytest.mark.usefixtures("with_userfaultfd")
def test_75_allow_lifts_one_and_deny_adds_one(containers: Launch) -> None:
    container = containers(privileged=True).up()
    assert calls(container, "call 323 -1", "call 321 0", "call 101 16 -1") == {
        "call 323 -1": "EINVAL", "call 321 0": "EPERM", "call 101 16 -1": "EPERM"}
    (start,) = [line for line in container.runtime.eci("events", container.id).ok().lines if " start " in line]
    assert "userfaultfd" not in start
    assert "ptrace" in start
