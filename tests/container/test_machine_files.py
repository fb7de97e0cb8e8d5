"""Disks, pressure, names and masks of a container as a machine of its own. Numbers are the acceptance list's lines."""
import errno
import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.cgroup.parse import UNIFIED
from eci_supervisor.cgroup.reader import places_of
from tests.container.conftest import Launch
from tests.container.test_machine import LAST, made, program
from tests.support.bundle import bind
from tests.support.driver import Container
from tests.support.waiting import wait_until

__all__ = ["program"]
pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse", "cgroup")

SECTORS = 10 * 2048
ZERO = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
FLOOR = ("interrupts", "softirqs", "schedstat", "buddyinfo", "zoneinfo", "kallsyms")
VIEWS = ("uptime", "swaps", "diskstats", "vmstat", "cgroups", "partitions", "cmdline", "pressure/cpu", "sys/kernel/random/boot_id")


def disks(container: Container) -> dict[str, list[str]]:
    """Lines of /proc/diskstats by the disk's name."""
    return {line.split()[2]: line.split() for line in container.exec("cat", "/proc/diskstats").ok().lines}


@pytest.fixture
def own_disk(playground: Path) -> Iterator[tuple[Path, int]]:
    """A disk of the test's own with a file system on it, and its number: the host's are not touched."""
    (playground / "disk").mkdir(mode=0o700)  # no other user of the host reaches it: container root may own what is in it
    image, point = Path("/dev/shm", f"{playground.name}.disk"), playground / "disk/at"  # in memory: what it is on is no disk
    with image.open("wb") as file:
        os.truncate(file.fileno(), 64 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    device = subprocess.check_output(["losetup", "--find", "--show", image], text=True).strip()
    try:
        subprocess.run(["mount", device, point], check=True)
        yield point, os.stat(device).st_rdev
        subprocess.run(["umount", point], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        shutil.rmtree(playground / "disk")
        image.unlink()


def test_24_diskstats_counts_what_the_container_writes(containers: Launch, own_disk: tuple[Path, int]) -> None:
    """Version 1 counts for a disk that has a limit somewhere, so this container has one, too high to be felt."""
    point, disk = own_disk
    limit = {"major": os.major(disk), "minor": os.minor(disk), "rate": 1 << 40}
    container = containers(mounts=(bind(point, "/volume", "rw"),),
                           linux={"resources": {"blockIO": {"throttleWriteBpsDevice": [limit]}}}).up()
    before = disks(container)
    container.sh("dd if=/dev/zero of=/volume/file bs=1M count=10 oflag=direct").ok()

    def grown() -> int:
        return sum(int(words[9]) for words in disks(container).values()) - sum(int(words[9]) for words in before.values())

    wait_until(lambda: SECTORS <= grown() < 2 * SECTORS, "what was written is counted")
    shown = disks(container)
    assert [(int(words[0]), int(words[1])) for words in shown.values()] == [(os.major(disk), os.minor(disk))]
    assert all(len(words) == 20 for words in shown.values())
    container.remove()


def test_24_a_container_that_used_no_disk_shows_none(container: Container) -> None:
    assert len(disks(container)) <= 1 < len(Path("/proc/diskstats").read_text().splitlines())


def counts_pressure(container: Container) -> bool:
    """Version 2 does; in a hybrid only runc makes a cgroup there."""
    places = places_of(container.pid)
    seen = " - cgroup2 " in Path(f"/proc/{container.record().supervisor_pid}/mountinfo").read_text()  # what has started crun hides it
    return seen and UNIFIED in places and places.get(b"memory", places[UNIFIED]).path == places[UNIFIED].path


def test_25_pressure_of_version_1_is_zero(container: Container) -> None:
    shown = container.sh("cat /proc/pressure/cpu /proc/pressure/memory /proc/pressure/io").ok().out
    assert shown == ZERO * 3 or (counts_pressure(container) and re.sub(r"[\d.]+", "", shown) == re.sub(r"[\d.]+", "", ZERO * 3))
    assert "ermission denied" in container.sh("echo some 200000 2000000 >/proc/pressure/cpu").err


def test_25_a_trigger_fires_when_the_container_stalls(containers: Launch, program: Path) -> None:
    container = made(containers, program, privileged=True, cpu={"cpus": str(LAST), "mems": "0"})
    fds = [os.open(f"/proc/{container.pid}/root/proc/pressure/{name}", os.O_RDWR) for name in ("cpu", "cpu", "memory")]
    poll, alone = select.poll(), select.poll()
    try:
        poll.register(fds[0], select.POLLPRI)
        assert poll.poll() == [(fds[0], select.POLLPRI | select.POLLERR)]  # no trigger yet
        if not counts_pressure(container):
            with pytest.raises(PermissionError):
                os.write(fds[0], b"some 200000 2000000")
            return
        assert container.sh("echo full 2000000 2000000 >/proc/pressure/io").ok().err == ""
        for fd in (fds[0], fds[2]):
            assert os.write(fd, b"some 200000 2000000\0") == 20
        alone.register(fds[2], select.POLLPRI)
        assert [refused(fds[number], text) for number, text in ((0, b"some 1 2000000"), (1, b"some 3000000 2000000"), (1, b"some 5"),
                                                                (1, b"some 200000 500000"))] == [errno.EBUSY] + [errno.EINVAL] * 3
        assert poll.poll(0) == alone.poll(0) == []
        container.sh("for n in 1 2 3; do machine burn 1 & done >/dev/null 2>&1").ok()
        assert poll.poll(10_000) == [(fds[0], select.POLLPRI)]
        assert poll.poll(0) == alone.poll(0) == []
        assert os.pread(fds[0], 4, 0) == b"some"
        fds += [os.open(f"/proc/{container.pid}/root/proc/pressure/cpu", os.O_RDWR) for _ in range(65)]
        assert {refused(fd, b"some 200000 2000000") for fd in fds[3:]} == {19, errno.ENOSPC}
        while len(fds) > 4:
            os.close(fds.pop())
        wait_until(lambda: refused(fds[1], b"some 200000 2000000") in (19, errno.EBUSY), "there is room for another one")
    finally:
        for fd in fds:
            os.close(fd)


def refused(fd: int, text: bytes) -> int:
    try:
        return os.write(fd, text)
    except OSError as error:
        return error.errno or 0


def test_26_names_of_the_machine(containers: Launch) -> None:
    container = containers().up()
    boot_id = "/proc/sys/kernel/random/boot_id"
    first = container.sh(f"cat {boot_id}; cat {boot_id}").ok().lines
    assert len(set(first)) == 1
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first[0])
    assert first[0] != Path(boot_id).read_text().strip()
    assert container.exec("cat", "/proc/cmdline").ok().out == "\n"
    container.kill_supervisor()
    container.exec("true").ok()
    container.remove()
    assert container.up().exec("cat", boot_id).ok().lines != first[:1]


@pytest.mark.parametrize("privileged", [False, True])
def test_27_51_masks(containers: Launch, privileged: bool) -> None:
    container = containers(privileged=privileged).up()
    there = [name for name in FLOOR if Path("/proc", name).exists()]
    assert container.sh(f"cd /proc; cat {' '.join(there)}").ok().out == ""
    assert set(container.sh(f"cd /proc; stat -c '%A %s' {' '.join(there)}").ok().lines) == {"-r--r--r-- 0"}
    for name in ("slabinfo", "vmallocinfo"):
        assert not Path("/proc", name).exists() or "ermission denied" in container.exec("cat", f"/proc/{name}").err
    assert "Read-only file system" in container.sh(f"echo x >/proc/{there[0]}").err
    for name in ("kernel/slab", "kernel/debug", "kernel/security", "kernel/tracing", "kernel/config", "devices/virtual/powercap"):
        if Path("/sys", name).is_dir():
            shown = container.sh(f"ls -A /sys/{name}; grep -c ' /sys/{name} ' /proc/self/mountinfo; touch /sys/{name}/x")
            assert shown.lines == ["1"], name
            assert "Read-only file system" in shown.err


def test_49_a_bind_over_a_node_comes_and_goes(privileged: Container) -> None:
    shown = privileged.sh("mount --bind /dev/null /proc/uptime && cat /proc/uptime && umount /proc/uptime && wc -l </proc/uptime").ok()
    assert shown.lines == ["1"]


def test_54_reads_of_every_shape(container: Container) -> None:
    shown = container.sh("cd /proc; dd if=swaps bs=1 2>/dev/null | head -c 8; echo; dd if=vmstat bs=1 skip=1048576 2>/dev/null | wc -c;"
                         "dd if=swaps bs=1 skip=4 count=4 2>/dev/null")
    assert shown.ok().out == "Filename\n0\nname"


def test_55_attributes(container: Container) -> None:
    there = [name for name in VIEWS if Path("/proc", name).exists()]
    for name in ("swaps", "partitions", "cmdline"):
        kind, owner, group, size = container.sh(f"stat -c '%A %u %g %s' /proc/{name}").ok().out.split()
        assert (kind, owner, group) == ("-r--r--r--", "0", "0")
        assert container.sh(f"wc -c </proc/{name}").ok().out.strip() == size
    assert container.sh(f"cd /proc; cat {' '.join(there)}", options=("--user=1000",)).status == 0


def test_cgroups_and_vmstat_have_the_hosts_shape(container: Container) -> None:
    host = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()]
    shown = [line.split() for line in container.exec("cat", "/proc/cgroups").ok().lines]
    assert [(words[0], words[1], words[3]) for words in shown] == [(words[0], words[1], words[3]) for words in host]
    assert {words[2] for words in shown[1:]} == {"1"}
    keys = [line.split()[0] for line in Path("/proc/vmstat").read_text().splitlines()]
    values = dict(line.split() for line in container.exec("cat", "/proc/vmstat").ok().lines)
    assert list(values) == keys
    assert 0 < int(values["pgfault"]) < int(dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())["pgfault"])
