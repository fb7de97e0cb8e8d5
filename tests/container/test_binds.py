"""Bind mounts: propagation, nested mounts, places below what the runtime mounts itself."""
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind, mount
from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


@pytest.fixture
def shared_mount(playground: Path) -> Iterator[Path]:
    """A shared mount of the host, as / is on a host with systemd."""
    source = playground / "shared"
    (source / "sub").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "shared", source], check=True)
    (source / "sub").mkdir()
    subprocess.run(["mount", "--make-shared", source], check=True)
    yield source
    subprocess.run(["umount", "--recursive", source], check=True)
    (source / "sub").rmdir()
    source.rmdir()


def later_mount_appears(container: Container, source: Path) -> bool:
    subprocess.run(["mount", "-t", "tmpfs", "later", source / "sub"], check=True)
    (source / "sub/here").touch()
    seen = container.exec("test", "-e", "/t/sub/here").status == 0
    subprocess.run(["umount", source / "sub"], check=True)
    return seen


def test_later_mounts_of_the_host_stay_outside(containers: Launch, shared_mount: Path) -> None:
    """They would be neither idmapped nor nodev."""
    assert not later_mount_appears(containers(mounts=(bind(shared_mount, "/t"),)).up(), shared_mount)


@pytest.mark.parametrize("runtime", ["runc"], indirect=True)  # crun makes what it finds private
def test_slave_propagation_where_the_spec_asks_for_it(containers: Launch, shared_mount: Path) -> None:
    volume = mount("/t", "bind", str(shared_mount), "rbind", "rslave")
    assert later_mount_appears(containers(mounts=(volume,)).up(), shared_mount)


def test_shared_propagation_becomes_slave_and_says_so(containers: Launch, shared_mount: Path) -> None:
    """A mount made inside must never appear on the host."""
    container = containers(privileged=True, mounts=(mount("/t", "bind", str(shared_mount), "rbind", "rshared"),)).up()
    assert "rslave" in container.log.read_text() + container.err.read_text()
    container.probe("mount", "none", "/t/sub", "tmpfs", "-")
    container.sh("touch /t/sub/inside").ok()
    assert not (shared_mount / "sub/inside").exists()


def test_read_only_bind_below_a_tmpfs_of_the_spec(containers: Launch, closed: Path) -> None:
    """It cannot be staged, so it is attached later, as locked as the others: read-only stays, whatever is done to it."""
    tmpfs = mount("/run", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755")
    container = containers(privileged=True, mounts=(tmpfs, bind(closed, "/run/x", "ro"), bind(closed, "/run/y"))).up()
    assert container.sh("cat /run/x/there; touch /run/y/new; touch /run/x/no").out == "content\n"
    assert (closed / "new").exists()
    assert not (closed / "no").exists()
    assert container.probe("mount", "-", "/run/x", "-", "remount+bind", ",", "writable", "/run/x") == ["mount: EPERM", "writable: EPERM"]


def test_read_only_rootfs_with_volumes(containers: Launch, closed: Path) -> None:
    container = containers(privileged=True, read_only=True, mounts=(bind(closed, "/not/there/yet"),)).up()
    assert container.sh("touch /not/there/yet/new; touch /no").status != 0
    assert (closed / "new").exists()
    assert container.probe("mount", "-", "/", "-", "remount+bind", ",", "writable", "/") == ["mount: EPERM", "writable: EPERM"]


def test_link_in_the_image_does_not_lead_out(containers: Launch, closed: Path, playground: Path) -> None:
    """CVE-2021-30465 and kin: the place of a volume is looked up in the image's root."""
    container = containers(mounts=(bind(closed, "/link/new"),))
    (container.bundle / "rootfs/link").symlink_to(playground)
    container.create()
    assert not (playground / "new").exists()
