"""Volumes and standard streams of a container that runs: what is locked, whose the files are, what the host keeps for itself."""
import os
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind, mount

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


def test_volumes_above_and_below_what_the_runtime_mounts(containers: Launch, closed: Path) -> None:
    container = containers(mounts=(
        mount("/run", "tmpfs", "tmpfs", "nosuid"),
        bind(closed, "/data"), bind(closed, "/ro", "ro"), bind(closed, "/run/rw"), bind(closed, "/run/ro", "ro"),
        bind(closed / "there", "/etc/one", "ro"),
    )).up()  # fmt: skip
    names = ("/data", "/ro", "/run/rw", "/run/ro")
    seen = container.sh("; ".join(f"stat -c %u {name}/there" for name in names) + "; cat /etc/one").ok().lines
    assert seen == ["0"] * 4 + ["content"]
    for number, name in enumerate(names):
        assert (container.sh(f"touch {name}/new{number}").status == 0) == ("ro" not in name)
    assert {path.name for path in closed.iterdir()} == {"there", "new0", "new2"}
    assert {os.stat(path).st_uid for path in closed.iterdir()} == {0}


def test_the_hosts_null_device_stays_the_hosts(containers: Launch) -> None:
    """crun makes container root the owner of its standard streams, whatever they are."""
    container = containers().up()
    container.sh("true").ok()
    assert os.stat("/dev/null").st_uid != container.record().ids.start


def test_a_node_that_is_bound_by_itself_opens_and_one_in_a_volume_does_not(containers: Launch, closed: Path) -> None:
    os.mknod(closed / "null", 0o20666, os.makedev(1, 3))
    container = containers(mounts=(bind(closed, "/data"), mount("/dev/zero2", "bind", "/dev/zero", "bind"))).up()
    assert container.sh("head -c 1 /dev/zero2 | wc -c").ok().out.strip() == "1"
    assert "Permission denied" in container.sh("cat /data/null").err


def test_a_volume_with_the_hosts_procfs_is_refused(containers: Launch) -> None:
    for source, why in (("/", "it contains /run/"), ("/proc", "it is on a proc of the host")):
        result = containers(mounts=(bind(source, "/host"),)).create()
        assert result.status == 1
        assert f"can't mount {source} because it's configured as a restricted host mount; {why}" in result.err
