"""The machine a container sees: processors, load, time, and sysinfo(2), against its limits. Numbers in names: proc-sys acceptance lines."""
import time
from pathlib import Path
from typing import Any

import pytest

from eci_supervisor.cgroup.parse import UNIFIED, cpu_list
from eci_supervisor.cgroup.reader import places_of
from tests.container.conftest import Launch
from tests.support.driver import Container
from tests.support.rootfs import PROGRAMS, compile_program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse", "cgroup")
one_runtime = pytest.mark.parametrize("runtime", ["runc"], indirect=True)
SYSTEM_CPU = Path("/sys/devices/system/cpu")
HOST_ONLINE = cpu_list((SYSTEM_CPU / "online").read_bytes())
LAST = HOST_ONLINE[-1]
GIB = 1 << 30


@pytest.fixture(scope="session")
def program(playground: Path) -> Path:
    return compile_program(PROGRAMS / "machine.c", playground / "machine")


def made(containers: Launch, program: Path, *, privileged: bool = False, **resources: dict[str, Any]) -> Container:
    """A running container with limits and the program `machine`."""
    every = {"devices": [{"allow": privileged, "access": "rwm"}], **resources}
    container = containers(privileged=privileged, linux={"resources": every})
    (container.bundle / "rootfs/bin/machine").write_bytes(program.read_bytes())
    (container.bundle / "rootfs/bin/machine").chmod(0o755)
    return container.up()


def cgroup_file(container: Container, controller: bytes, v1: str, v2: str) -> Path:
    places = places_of(container.pid)
    place = places.get(controller, places.get(UNIFIED))
    assert place is not None
    return Path(place.directory.decode()) / (v2 if place.version == 2 else v1)


def numbers(container: Container, *words: str) -> dict[str, float]:
    return {name: float(value) for name, value in map(str.split, container.exec("machine", *words).ok().lines)}


def inside(container: Container, path: str) -> str:
    """A file of the container, read from outside: fast."""
    return Path(f"/proc/{container.pid}/root{path}").read_text()


def meminfo(text: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}


def stat(text: str) -> dict[str, list[int]]:
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, text.splitlines())}


def busy_ns(container: Container) -> int:
    """All that the kernel has counted for it as user and system time."""
    counter = cgroup_file(container, b"cpuacct", "cpuacct.usage_all", "cpu.stat")
    rows = [[int(word) for word in line.split() if word.isdigit()] for line in counter.read_text().splitlines()]
    return rows[0][0] * 1000 if counter.name == "cpu.stat" else sum(sum(row[1:]) for row in rows[1:])


def test_1_everything_tells_the_limit(containers: Launch, program: Path) -> None:
    container = made(containers, program, memory={"limit": 64 << 20, "swap": 64 << 20})
    shown = meminfo(container.exec("cat", "/proc/meminfo").ok().out)
    told = numbers(container, "sysinfo")
    assert shown["MemTotal"] == 65536
    assert int(container.exec("free", "-k").ok().lines[1].split()[1]) == 65536
    assert (told["totalram"], told["unit"], told["size"]) == (64 << 20, 1, 112)
    assert (told["totalswap"], told["high"]) == (shown["SwapTotal"] << 10, 0)
    assert numbers(container, "libc")["physical"] == 65536
    assert (told["null"], told["bad"], told["readonly"], told["edge"]) == (14, 14, 14, 14)
    assert 1 <= told["procs"] <= 10


@one_runtime
def test_3_without_a_limit_the_total_is_the_hosts(containers: Launch, program: Path) -> None:
    container = made(containers, program)
    host, shown = meminfo(Path("/proc/meminfo").read_text()), meminfo(inside(container, "/proc/meminfo"))
    assert shown["MemTotal"] == host["MemTotal"]
    assert numbers(container, "sysinfo")["totalram"] == host["MemTotal"] << 10
    assert all(shown[key] < 65536 for key in ("AnonPages", "KReclaimable", "PageTables", "Committed_AS"))
    assert not [key for key in shown if key.startswith("DirectMap")]


@one_runtime
def test_9_what_holds_while_the_limit_changes(containers: Launch, program: Path) -> None:
    container = made(containers, program, memory={"limit": 64 << 20})
    limit, path = cgroup_file(container, b"memory", "memory.limit_in_bytes", "memory.max"), f"/proc/{container.pid}/root/proc/meminfo"
    totals = set()
    for number in range(1000):
        if number % 100 == 0:
            limit.write_text(str((64 + number // 10) << 20))
            time.sleep(0.12)
        seen = meminfo(Path(path).read_text())
        assert 0 <= seen["MemFree"] <= seen["MemAvailable"] <= seen["MemTotal"]
        assert 0 <= seen["SwapFree"] <= seen["SwapTotal"]
        totals.add(seen["MemTotal"])
    assert len(totals) == 10


@pytest.mark.requires("i386")
@one_runtime
def test_10_a_32_bit_program(containers: Launch, playground: Path) -> None:
    narrow = compile_program(PROGRAMS / "machine.c", playground / "machine32", "-m32")
    large = made(containers, narrow, memory={"limit": 8 * GIB})
    told = numbers(large, "sysinfo")
    assert (told["size"], told["unit"], told["totalram"] * 4096) == (64, 4096, 8 * GIB)
    assert (told["null"], told["readonly"]) == (14, 14)
    small = made(containers, narrow, memory={"limit": GIB, "swap": GIB})
    told = numbers(small, "sysinfo")
    assert (told["unit"], told["totalram"]) == (1, GIB)


@one_runtime
def test_11_one_story_at_one_time(containers: Launch, program: Path) -> None:
    container = made(containers, program, memory={"limit": 128 << 20})
    told = numbers(container, "agree", "1.5")
    assert told["compared"] > 50
    assert told["values"] >= 3
    assert told["different"] == 0
    lines = container.sh("cat /proc/uptime; machine sysinfo | head -1; cat /proc/uptime").ok().lines
    before, after = float(lines[0].split()[0]), float(lines[2].split()[0])
    assert before <= float(lines[1].split()[1]) <= after + 1
    assert "load average: " in container.exec("uptime").ok().out


def test_12_one_processor(containers: Launch, program: Path) -> None:
    container = made(containers, program, cpu={"cpus": str(LAST), "mems": "0"})
    looks = "nproc; cd /sys/devices/system/cpu; cat online present offline; grep ^processor /proc/cpuinfo; grep ^cpu /proc/stat"
    shown = container.sh(looks)
    nproc, online, present, offline, *rest = shown.ok().lines
    assert (nproc, online, present) == ("1", str(LAST), str(LAST))
    assert {*cpu_list(offline.encode()), LAST} == set(cpu_list((SYSTEM_CPU / "possible").read_bytes()))
    assert rest[0] == f"processor\t: {LAST}"
    assert [line.split()[0] for line in rest[1:]] == ["cpu", f"cpu{LAST}"]
    assert numbers(container, "libc")["online"] == 1
    node = inside(container, "/sys/devices/system/node/node0/cpulist") if Path("/sys/devices/system/node/node0").exists() else online
    assert set(cpu_list(node.encode())) <= {LAST}
    assert len([line for line in container.sh("top -b -n1").ok().lines if line.startswith("Mem:")]) == 1


def at_once(path: Path) -> bytes:
    """By one read(2): of two, the second may see the next sample."""
    with path.open("rb", buffering=0) as file:
        return file.read(1 << 16)


@one_runtime
def test_14_18_a_cpuset_that_changes(containers: Launch, program: Path) -> None:
    """All files follow; no counter goes back."""
    if len(HOST_ONLINE) == 1:
        pytest.fail("a host with two processors")
    container = made(containers, program, cpu={"cpus": f"{HOST_ONLINE[0]},{LAST}", "mems": "0"})
    cpus, root = cgroup_file(container, b"cpuset", "cpuset.cpus", "cpuset.cpus"), Path(f"/proc/{container.pid}/root")
    container.exec("machine", "burn", "0.3").ok()
    before = stat((root / "proc/stat").read_text())
    possible = (root / "sys/devices/system/cpu/possible").read_text()
    for number in range(100):
        if number % 25 == 0:
            wanted = f"{LAST}" if number % 50 == 0 else f"{HOST_ONLINE[0]},{LAST}"
            cpus.write_text(wanted)
            shown = {*cpu_list(wanted.encode())}
            wait_until(lambda: {*cpu_list(at_once(root / "sys/devices/system/cpu/online"))} == shown, "online follows", 1)  # noqa: B023
            wait_until(lambda: {f"cpu{n}" for n in shown} == {k for k in stat(at_once(root / "proc/stat").decode()) if k[3:]  # noqa: B023
                                                              and k.startswith("cpu")}, "stat follows", 1)
        after = stat((root / "proc/stat").read_text())
        assert after.keys() >= {"cpu", "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"}
        assert after["intr"] == after["ctxt"] == [0]
        assert all(now >= then for then, now in zip(before["cpu"], after["cpu"], strict=True))
        before = after
    assert (root / "sys/devices/system/cpu/possible").read_text() == possible == (SYSTEM_CPU / "possible").read_text()


@one_runtime
def test_17_19_time_that_is_burned(containers: Launch, program: Path) -> None:
    container = made(containers, program)
    before = stat(inside(container, "/proc/stat"))
    burn_outside = time.process_time() + 0.5
    while time.process_time() < burn_outside:
        continue
    idle = stat(inside(container, "/proc/stat"))
    assert sum(idle["cpu"][:3]) - sum(before["cpu"][:3]) < 10
    container.exec("machine", "burn", "2").ok()
    time.sleep(0.15)
    after = stat(inside(container, "/proc/stat"))
    burned = sum(after["cpu"][:3]) - sum(idle["cpu"][:3])
    assert 150 <= burned < 280  # version 1 counts in ticks, and exec itself takes some
    assert sum(after["cpu"][:3]) * 10_000_000 == pytest.approx(busy_ns(container), abs=50_000_000)
    rows = [values for key, values in after.items() if key.startswith("cpu") and key != "cpu"]
    assert [sum(column) for column in zip(*rows, strict=True)] == after["cpu"]
    age, idle_s = map(float, inside(container, "/proc/uptime").split())
    assert idle_s < age * len(HOST_ONLINE)
    assert abs(after["btime"][0] - stat(Path("/proc/stat").read_text())["btime"][0]) <= 1


@one_runtime
def test_22_load(containers: Launch, program: Path) -> None:
    container = made(containers, program)
    one, _, _, tasks, last = inside(container, "/proc/loadavg").split()
    assert float(one) < 0.2
    assert 1 <= int(tasks.split("/")[1]) < 10
    pids = [int(name) for name in container.sh("ls -d /proc/[0-9]* | tr -d /proc").ok().out.split()]
    assert int(last) <= max(pids)
    container.sh("for i in 1 2 3 4; do machine burn 60 >/dev/null 2>&1 & done").ok()
    seen = []

    def risen() -> bool:
        seen.append(float(inside(container, "/proc/loadavg").split()[0]))
        return seen[-1] > 0.5

    wait_until(risen, "the load rises", 30)
    assert seen == sorted(seen)
    assert seen[-1] < 4.5
    assert numbers(container, "libc")["load1"] > 0.4
    assert stat(inside(container, "/proc/stat"))["procs_running"][0] >= 2


@one_runtime
def test_23_cpuinfo_is_static(containers: Launch, program: Path) -> None:
    container = made(containers, program)
    first = inside(container, "/proc/cpuinfo")
    time.sleep(0.3)
    assert inside(container, "/proc/cpuinfo") == first
    host = Path("/proc/cpuinfo").read_text()
    assert [line.split(":")[0] for line in first.splitlines()] == [line.split(":")[0] for line in host.splitlines()]
