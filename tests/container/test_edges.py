"""Mounts, masks and edges of a container's /proc and /sys. Numbers are the acceptance list's lines."""
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.test_machine import cgroup_file, made, program
from tests.support.driver import Container
from tests.support.waiting import wait_gone, wait_until

__all__ = ["program"]
pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse", "cgroup")
one_runtime = pytest.mark.parametrize("runtime", ["runc"], indirect=True)
LIFE_S = 0.1
KERNEL_DIRECTORIES = ("config", "debug", "security", "tracing")
# What a runtime does for a container inside: a procfs of its own namespaces, /proc/sys over itself and read-only.
INNER = "unshare mnt+pid , fork , mount proc /t proc - , "
READ_ONLY = "mount /t/sys /t/sys - bind+rec , mount - /t/sys - bind+remount+ro , "


def locked(container: Container) -> list[str]:
    """Every mount below /proc and /sys but those of the cgroups, which the runtime makes."""
    points = [line.split()[4] for line in Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()]
    return [point for point in points if re.match(r"/(proc|sys)/", point) and not point.startswith("/sys/fs/cgroup")]


def attempts(points: list[str]) -> str:
    ways = ("umount {}", "umount {} detach", "mount {} /t - move", "mount - {} - bind+remount", "move-mount {} /t")
    return " , ".join(way.format(point) for point in points for way in ways)


@pytest.mark.parametrize("inside", ["", "userns , unshare mnt , "])
@one_runtime
def test_46_no_locked_node_goes(containers: Launch, inside: str) -> None:
    """The attacker waits inside until no supervisor is there: an exec would bring another one."""
    script = "for n in 1 2; do until [ -e /go$n ]; do usleep 10000; done; sh /attack >/result$n 2>&1; touch /done$n; done; sleep 1000"
    container = containers(privileged=True, args=("sh", "-c", script)).up()
    root, points, table = container.bundle / "rootfs", locked(container), Path(f"/proc/{container.pid}/mountinfo")
    assert len(points) > 40
    (root / "attack").write_text(f"probe {inside}{attempts(points)}\n")
    before = table.read_text()
    for number in (1, 2):
        (root / f"go{number}").touch()
        wait_until((root / f"done{number}").exists, "all was tried")
        results = (root / f"result{number}").read_text().splitlines()[inside.count(","):]
        assert len(results) == 5 * len(points)
        # Clearing read-only of what never was read-only is no attack: the kernel lets that be said.
        assert {line for line in results if line.endswith("OK")} <= {"mount: OK"}
        assert table.read_text() == before
        if number == 1:
            container.kill_supervisor()


@one_runtime
def test_48_read_only_inside_an_unprivileged_inner_container(privileged: Container) -> None:
    node = "/t/sys/kernel/panic"
    assert privileged.probe(*f"{INNER}{READ_ONLY}write {node} 77".split())[-1] == "write: EROFS"
    assert privileged.probe(*f"{INNER}write {node} 78".split())[-1] == "write: OK"
    assert privileged.exec("cat", "/proc/sys/kernel/panic").ok().out == "78\n"


def test_49_an_own_mount_over_a_node(privileged: Container) -> None:
    script = "mount --bind /dev/null /proc/uptime && wc -c </proc/uptime && umount /proc/uptime && wc -w </proc/uptime"
    assert privileged.sh(script).ok().lines == ["0", "2"]


@one_runtime
def test_50_what_inner_runtimes_open_is_no_mount(containers: Launch, program: Path) -> None:
    container = made(containers, program, privileged=True)
    paths = ("sys/net/ipv4/ip_unprivileged_port_start", "sys/kernel/cap_last_cap", "1/status", "uptime")
    assert container.exec("machine", "beneath", "/proc", *paths).ok().lines == ["0", "0", "0", "18"]  # EXDEV: one of ours


def test_52_where_the_hosts_file_systems_would_be(privileged: Container) -> None:
    there = [name for name in KERNEL_DIRECTORIES if Path("/sys/kernel", name).is_dir()]
    assert there
    for name in there:
        assert privileged.sh(f"grep -q ' /sys/kernel/{name} ' /proc/self/mountinfo && ls -A /sys/kernel/{name}").ok().out == ""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def given(path: Path) -> bytes | None:
    """What a reader of its own gets within half a second."""
    try:
        return subprocess.run(["cat", path], stdout=subprocess.PIPE, timeout=0.5, check=True).stdout
    except subprocess.TimeoutExpired:
        return None


@one_runtime
def test_57_a_supervisor_that_stands_still(container: Container) -> None:
    """What the kernel has it gives; who must ask waits, and can be killed; the rest of /proc is the kernel's."""
    proc, supervisor = Path(f"/proc/{container.pid}/root/proc"), container.record().supervisor_pid
    cached = shown = None
    for _ in range(20):
        shown = [given(proc / "uptime") for _ in range(2)][1]  # the first one's READ made fstat(2) of the next ask once more
        with stopped(supervisor):
            cached = given(proc / "uptime")
        if cached is not None:
            break
    assert cached == shown is not None
    with stopped(supervisor):
        with subprocess.Popen(["cat", proc / "meminfo"], stdout=subprocess.DEVNULL) as reader:
            wait_until(lambda: "request_wait" in Path(f"/proc/{reader.pid}/wchan").read_text(), "the reader waits")
            assert (proc / "1/status").read_text().startswith("Name:")
            assert (proc / "sys/kernel/pid_max").read_text().strip().isdigit()
            reader.kill()
            wait_gone(reader.pid, 5)
        waiting = subprocess.Popen(["cat", proc / "loadavg"], stdout=subprocess.PIPE)
        wait_until(lambda: "request_wait" in Path(f"/proc/{waiting.pid}/wchan").read_text(), "another one waits")
    out, _ = waiting.communicate(timeout=10)
    assert 0 <= float(out.split()[0]) < 60


@one_runtime
def test_57_a_supervisor_killed_while_somebody_waits(container: Container) -> None:
    """ENOTCONN, or the right value if another supervisor takes over; never the host's."""
    proc, supervisor = Path(f"/proc/{container.pid}/root/proc"), container.record().supervisor_pid
    time.sleep(LIFE_S * 1.5)
    os.kill(supervisor, signal.SIGSTOP)
    with subprocess.Popen(["cat", proc / "uptime"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        wait_until(lambda: "request_wait" in Path(f"/proc/{reader.pid}/wchan").read_text(), "the reader waits")
        container.kill_supervisor()
        out, err = reader.communicate(timeout=10)
    assert "connect" in err or float(out.split()[0]) < 60
    assert (proc / "1/status").read_text().startswith("Name:")


@one_runtime
def test_54_a_reader_that_takes_its_time(container: Container) -> None:
    """Three reads of 1024 with more than a life between; and one byte at a time."""
    proc = Path(f"/proc/{container.pid}/root/proc")
    for name, step, pause in (("meminfo", 1024, 1.0), ("vmstat", 1, 0.0), ("cpuinfo", 1024, 0.2)):
        fd = os.open(proc / name, os.O_RDONLY)
        try:
            size, text = os.fstat(fd).st_size, b""
            while part := os.read(fd, step):
                text += part
                time.sleep(pause)
        finally:
            os.close(fd)
        assert b"\0" not in text
        assert text.endswith(b"\n")
        assert len(text) == size or name == "vmstat"  # its numbers grow, and with them its size


@one_runtime
def test_55_sizes_of_files_that_change(container: Container) -> None:
    assert container.sh("stat -c '%A %U %G' /proc/uptime /proc/swaps").ok().lines == ["-r--r--r-- root root"] * 2
    proc = Path(f"/proc/{container.pid}/root/proc")
    for name in ("uptime", "meminfo", "stat", "loadavg", "cpuinfo"):
        fd = os.open(proc / name, os.O_RDONLY)
        try:
            assert os.fstat(fd).st_size == len(os.pread(fd, 1 << 20, 0)), name
        finally:
            os.close(fd)


@one_runtime
def test_everything_is_read_and_nothing_breaks(containers: Launch) -> None:
    """As container root with all capabilities; what refuses is skipped, what blocks for ever (an event stream) is cut off."""
    container = containers(privileged=True).up()
    before = container.sh("cat /proc/meminfo /proc/swaps | wc -l; cat /proc/sys/kernel/panic /sys/devices/system/cpu/online").ok().out
    find = "find /proc /sys -type f -not -path '/proc/[0-9]*/task/*' -not -name kmsg -not -name trace_pipe"
    done = container.exec("sh", "-c", f"{find} -exec timeout 5 cat {{}} + >/dev/null 2>&1; echo finished", deadline_s=55)
    assert done.ok().out == "finished\n"
    after = container.sh("cat /proc/meminfo /proc/swaps | wc -l; cat /proc/sys/kernel/panic /sys/devices/system/cpu/online").ok().out
    assert after == before
    os.kill(container.record().supervisor_pid, 0)


@one_runtime
def test_a_cgroup_that_vanishes(containers: Launch, program: Path) -> None:
    """Its processes are moved away, as a careless engine might: the last values stay."""
    container = made(containers, program, memory={"limit": 64 << 20, "swap": 64 << 20})
    proc, pid = Path(f"/proc/{container.pid}/root/proc"), container.pid
    before = (proc / "meminfo").read_text().splitlines()[0]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        name, path = line.split(":")[1:]
        directory = Path("/sys/fs/cgroup", name.removeprefix("name=") or "unified") / path.lstrip("/")
        if path == "/" or not directory.is_dir():
            continue
        for task in (directory / "cgroup.procs").read_text().split():
            (directory.parent / "cgroup.procs").write_text(task)
        for below in [*sorted(directory.rglob("*/"), reverse=True), directory]:
            below.rmdir()
    time.sleep(LIFE_S * 1.5)
    assert (proc / "meminfo").read_text().splitlines()[0] == before
    for name in ("stat", "loadavg", "uptime", "vmstat", "diskstats", "cgroups", "swaps"):
        (proc / name).read_bytes()


@one_runtime
def test_thousands_of_files_open_at_once(container: Container) -> None:
    proc = Path(f"/proc/{container.pid}/root/proc")
    held = [os.open(proc / ("meminfo", "stat", "uptime")[number % 3], os.O_RDONLY) for number in range(3000)]
    try:
        time.sleep(LIFE_S * 1.2)
        assert all(os.read(fd, 65536) for fd in held)
    finally:
        for fd in held:
            os.close(fd)


@one_runtime
def test_58_many_cgroups_and_threads(containers: Launch, program: Path) -> None:
    """5000 and 10 000: each file answers within 50 ms. The quickest of five, since the machine may be busy with something else."""
    container = made(containers, program, privileged=True)
    group = cgroup_file(container, b"pids", "tasks", "cgroup.threads").parent
    for number in range(5000):
        (group / f"inner{number}").mkdir()
    container.sh("machine threads 10000 >/there 2>&1 &").ok()
    wait_until(lambda: (container.bundle / "rootfs/there").read_text() == "there\n", "all threads are there", 30)
    proc = Path(f"/proc/{container.pid}/root/proc")
    for name in ("loadavg", "stat", "meminfo", "cgroups", "uptime", "vmstat"):
        took = []
        for _ in range(5):
            time.sleep(LIFE_S * 1.2)
            began = time.monotonic()
            (proc / name).read_bytes()
            took.append(time.monotonic() - began)
        assert min(took) < 0.05, name
    assert int((proc / "loadavg").read_text().split()[3].split("/")[1]) > 10_000


@one_runtime
def test_22_what_spins_is_the_load(containers: Launch, program: Path) -> None:
    """The first reading is the average since the start, as if it always had been so: four that spin, on the CPUs there are."""
    container = made(containers, program)
    container.sh("for i in 1 2 3 4; do machine burn 60 >/dev/null 2>&1 & done").ok()
    time.sleep(6)
    one, running = (float((container_proc(container) / "loadavg").read_text().replace("/", " ").split()[at]) for at in (0, 3))
    assert 0.2 < one < 4.5
    assert 1 <= running <= 5
    container.sh("killall machine").ok()


def container_proc(container: Container) -> Path:
    return Path(f"/proc/{container.pid}/root/proc")
