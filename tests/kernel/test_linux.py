"""The wrappers of system calls: descriptors close on exec, errors name their object, what is borrowed is given back."""
import errno
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from eci_supervisor.linux import mount_api, openat2
from eci_supervisor.linux.devices import is_null, private_null
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.fsuid import FileSystemIds
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_NODEV
from eci_supervisor.linux.namespaces import CLONE_NEWNET, CLONE_NEWUSER, kind, owner
from eci_supervisor.linux.process import pidfd_open
from eci_supervisor.linux.sockets import receive_with_fds, send_with_fds
from eci_supervisor.linux.statfs import PROC_MAGIC, file_system_magic
from tests.support.isolated import errno_of, isolated

pytestmark = pytest.mark.requires("root")


def closes_on_exec(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)


def own_network() -> OwnedFd:
    with OwnedFd(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)) as namespace:
        assert kind(namespace.fileno()) == CLONE_NEWNET
        return owner(namespace.fileno())


@isolated
@pytest.mark.parametrize("opened", [
    lambda: mount_api.clone_tree("/etc"), lambda: mount_api.fsopen("tmpfs"), lambda: openat2.openat2(-100, "/etc", os.O_PATH, 0),
    lambda: pidfd_open(os.getpid()), own_network,
], ids=["open_tree", "fsopen", "openat2", "pidfd_open", "NS_GET_USERNS"])  # fmt: skip
def test_no_child_inherits_a_descriptor(opened: Callable[[], OwnedFd]) -> None:
    with opened() as fd:
        assert closes_on_exec(fd.fileno())


@isolated
def test_a_file_system_made_and_reconfigured_with_the_new_api(tmp_path: Path) -> None:
    with mount_api.fsopen("tmpfs") as context:
        mount_api.fsconfig_string(context.fileno(), "mode", "0711")
        mount_api.fsconfig_create(context.fileno())
        with mount_api.fsmount(context.fileno(), MOUNT_ATTR_NODEV) as tree:
            mount_api.move_mount(tree.fileno(), str(tmp_path))
    assert os.stat(tmp_path).st_mode & 0o777 == 0o711
    with mount_api.fspick(str(tmp_path)) as context:
        mount_api.fsconfig_flag(context.fileno(), "ro")
        mount_api.fsconfig_reconfigure(context.fileno())
    assert errno_of(lambda: os.mkdir(tmp_path / "x")) == errno.EROFS
    mount_api.umount(str(tmp_path))


@pytest.mark.parametrize(("call", "number", "text"), [
    (lambda: mount_api.clone_tree("/nowhere/\n"), errno.ENOENT, "open_tree /nowhere/\\n"),
    (lambda: openat2.openat2(-100, b"/nowhere/\xff", os.O_PATH, 0), errno.ENOENT, "open /nowhere/\\udcff"),
    (lambda: openat2.openat2(-100, "/etc\0/x", os.O_PATH, 0), errno.EINVAL, "a NUL in a path"),
    (lambda: mount_api.umount("/nowhere"), errno.ENOENT, "umount /nowhere"),
    (lambda: mount_api.fsopen("nofs"), errno.ENODEV, "fsopen nofs"),
])  # fmt: skip
def test_an_error_names_its_object(call: Callable[[], object], number: int, text: str) -> None:
    with pytest.raises(OSError) as failure:  # noqa: PT011 # errno and text are looked at
        call()
    assert failure.value.errno == number
    assert text in str(failure.value)


def test_what_a_file_system_says_about_a_failure_is_told() -> None:
    with mount_api.fsopen("overlay") as context, pytest.raises(OSError, match=r"fsconfig nonsense=1: .*Unknown parameter"):
        mount_api.fsconfig_string(context.fileno(), "nonsense", "1")


def test_a_null_device_of_our_own() -> None:
    host = os.stat("/dev/null")
    with private_null() as null:
        assert is_null(os.stat(null.fileno()))
        assert os.write(null.fileno(), b"x") == 1
        assert os.read(null.fileno(), 1) == b""
        os.fchown(null.fileno(), 5, 5)
        os.fchmod(null.fileno(), 0)
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_mode) == (host.st_uid, host.st_mode)


def test_received_descriptors_close_on_exec() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        send_with_fds(left, b"two", [0, 1])
        payload, fds, flags = receive_with_fds(right, 16, 2)
        assert (payload, len(fds), flags & socket.MSG_CTRUNC) == (b"two", 2, 0)
        assert all(closes_on_exec(fd.fileno()) for fd in fds)
        for fd in fds:
            fd.close()


@isolated
def test_file_system_ids_keep_every_capability_and_are_undone(tmp_path: Path) -> None:
    def capabilities() -> str:
        return next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))

    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = capabilities()
    with FileSystemIds(100_000):
        assert capabilities() == before
        (closed / "file").write_text("x")
    assert os.stat(closed / "file").st_uid == 100_000
    (closed / "after").write_text("x")
    assert os.stat(closed / "after").st_uid == 0
    assert capabilities() == before


def test_the_magic_of_a_file_system_and_the_owner_of_a_namespace() -> None:
    with OwnedFd(os.open("/proc", os.O_PATH | os.O_CLOEXEC)) as fd:
        assert file_system_magic(fd.fileno()) == PROC_MAGIC
    with own_network() as user:
        assert kind(user.fileno()) == CLONE_NEWUSER
