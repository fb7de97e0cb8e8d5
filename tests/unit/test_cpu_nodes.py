"""/proc/stat, cpuinfo, loadavg and the CPU and memory node files of version 1, version 2 and hybrid machines."""
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_supervisor.cgroup import tasks
from eci_supervisor.procfs.cpu_view import CpuView
from eci_supervisor.procfs.nodes import cpuinfo, cpus, loadavg, numa, stat, sysinfo, uptime
from eci_supervisor.procfs.numa_family import host_nodes
from eci_supervisor.procfs.sample import Sample
from eci_supervisor.procfs.sampler import LIFE_NS, Sampler
from tests.support.machine import CPUINFO, HOST_MEMINFO, NODE_MEMINFO, PID, Machine, hybrid, legacy, machine, unified

KEYS = ["cpu", "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"]
PSI = "some avg10=0.00 avg60=0.00 avg300=0.00 total={0}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.fixture(autouse=True)
def leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is that tests run on."""
    monkeypatch.setattr(tasks, "BUDGET_NS", 60_000_000_000)


@contextmanager
def sampler(on: Machine, *, attached: bool = True, cpu_view: CpuView = CpuView.CPUSET) -> Iterator[Sampler]:
    faults: list[tuple[str, Exception]] = []
    made = Sampler(proc=on.proc, sys=on.sys, cpu_view=cpu_view, on_fault=lambda what, error: faults.append((what, error)))
    try:
        if attached:
            made.attach(PID)
        yield made
    finally:
        made.close()
    assert not faults


def expire(made: Sampler) -> Sample:
    before = made.sample()
    while made.sample() is before:
        time.sleep(LIFE_NS / 20e9)
    return made.sample()


def columns(sample: Sample) -> dict[str, list[int]]:
    """/proc/stat by key."""
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, stat.render(sample).decode().splitlines())}


def recent(on: Machine, seconds: float = 10) -> Machine:
    """The container started a while ago, not at boot."""
    on.write(f"proc/{PID}/stat", f"{PID} (a) S " + "0 " * 18 + f"{int((time.clock_gettime(time.CLOCK_BOOTTIME) - seconds) * 100)} 0\n")
    return on


def test_before_there_is_a_container(tmp_path: Path) -> None:
    with sampler(machine(tmp_path), attached=False) as made:
        sample = made.sample()
        assert loadavg.render(sample) == b"0.00 0.00 0.00 0/0 0\n"
        assert columns(sample)["cpu1"] == [0] * 10
        assert cpus.online(sample) == b"0-1\n"
        assert cpuinfo.render(sample) == CPUINFO.encode()


def test_version_1_is_per_cpu(tmp_path: Path) -> None:
    with sampler(recent(legacy(tmp_path))) as made:
        seen = columns(made.sample())
    assert list(seen) == [KEYS[0], "cpu1", *KEYS[1:]]
    assert seen["cpu1"] == seen["cpu"]
    assert seen["cpu1"][:3] == [150, 0, 50]
    assert seen["cpu1"][3] == pytest.approx(800, abs=100)
    assert seen["intr"] == seen["ctxt"] == [0]
    assert seen["softirq"] == [0] * 11
    assert seen["procs_running"] == [1]


def test_version_2_is_shared_out(tmp_path: Path) -> None:
    made = recent(unified(tmp_path))
    made.cgroup("cg/pod/web", {"cpuset.cpus.effective": "0-1\n",
                               "cpu.stat": "usage_usec 3000000\nuser_usec 2010000\nsystem_usec 1000000\nnice_usec 500000\n"})
    with sampler(made) as taking:
        seen = columns(taking.sample())
    assert seen["cpu"][:3] == [151, 50, 100]
    assert (seen["cpu0"][:3], seen["cpu1"][:3]) == ([75, 25, 50], [76, 25, 50])


def test_18_counters_stay_across_a_change_of_the_cpuset(tmp_path: Path) -> None:
    made = recent(legacy(tmp_path))
    with sampler(made) as taking:
        before = columns(taking.sample())
        made.write("cpuset/docker/c1/cpuset.effective_cpus", "0\n")
        made.write("cpuacct/docker/c1/cpuacct.usage_all", "cpu user system\n0 1000000000 0\n1 1500000000 500000000\n")
        after = columns(expire(taking))
    assert "cpu1" not in after
    assert after["cpu"][:3] == [250, 0, 50]
    assert after["cpu"][3] >= before["cpu"][3]


def test_all_columns_add_up_and_uptime_agrees(tmp_path: Path) -> None:
    made = recent(hybrid(tmp_path))
    made.cgroup("cpuset/c1", {"cpuset.effective_cpus": "0-1\n"})
    with sampler(made) as taking:
        sample = taking.sample()
        seen, idle = columns(sample), float(uptime.render(sample).split()[1])
    assert [sum(both) for both in zip(seen["cpu0"], seen["cpu1"], strict=True)] == seen["cpu"]
    assert seen["cpu"][3] == round(idle * 100)


@pytest.mark.parametrize(("effective", "online", "offline", "blocks"), [
    ("0-1\n", b"0-1\n", b"2-3\n", [0, 1]), ("1\n", b"1\n", b"0,2-3\n", [1]), ("\n", b"0-1\n", b"2-3\n", [0, 1]),
])  # fmt: skip
def test_13_every_file_tells_the_same_cpus(tmp_path: Path, effective: str, online: bytes, offline: bytes, blocks: list[int]) -> None:
    made = legacy(tmp_path)
    made.write("cpuset/docker/c1/cpuset.effective_cpus", effective)
    with sampler(made) as taking:
        sample = taking.sample()
        lines = cpuinfo.render(sample).decode().splitlines()
        assert [int(line.split(":")[1]) for line in lines if line.startswith("processor")] == blocks
        assert (cpus.online(sample), cpus.offline(sample)) == (online, offline)
        assert [key for key in columns(sample) if key[3:].isdigit()] == [f"cpu{n}" for n in blocks]
        assert numa.cpulist(sample, sample.numa[0]) == online
        assert numa.cpumap(sample, sample.numa[0]) == b"%x\n" % sum(1 << n for n in blocks)


@pytest.mark.parametrize(("leaf", "parent", "online"), [("150000 100000", "max 100000", b"0-1\n"), ("max 100000", "20000 50000", b"0\n"),
                                                        ("max 100000", "max 100000", b"0-1\n")])
def test_15_the_quota_as_cpus(tmp_path: Path, leaf: str, parent: str, online: bytes) -> None:
    made = recent(unified(tmp_path))
    made.cgroup("cg/pod", {"cpu.max": f"{parent}\n", "cpuset.cpus.effective": "0-1\n"})
    made.cgroup("cg/pod/web", {"cpu.max": f"{leaf}\n"})
    with sampler(made, cpu_view=CpuView.QUOTA) as taking:
        sample = taking.sample()
        assert cpus.online(sample) == online
        assert columns(sample)["cpu"][:3] == [200, 0, 100]  # wherever it ran
    with sampler(made) as taking:
        assert cpus.online(taking.sample()) == b"0-1\n"


def test_the_quota_of_version_1(tmp_path: Path) -> None:
    made = recent(hybrid(tmp_path))
    made.cgroup("cpuset/c1", {"cpuset.effective_cpus": "0-1\n"})
    made.cgroup("cpu,cpuacct/c1", {"cpu.cfs_quota_us": 50000, "cpu.cfs_period_us": 100000})
    with sampler(made, cpu_view=CpuView.QUOTA) as taking:
        assert cpus.online(taking.sample()) == b"0\n"
        made.write("cpu,cpuacct/c1/cpu.cfs_quota_us", -1)
        sample = expire(taking)
        assert cpus.online(sample) == b"0-1\n"
        assert columns(sample)["cpu"][0] == 100


def test_the_frequency_is_as_it_was(tmp_path: Path) -> None:
    made = legacy(tmp_path)
    with sampler(made) as taking:
        before = cpuinfo.render(taking.sample())
        made.write("proc/cpuinfo", CPUINFO.replace("2596.", "800."))
        assert cpuinfo.render(expire(taking)) == before


def test_load_of_version_2_has_pressure_in_it(tmp_path: Path) -> None:
    made = recent(unified(tmp_path), 100)
    made.cgroup("cg/pod/web", {"cgroup.threads": f"{PID}\n55\n", "pids.current": 9, "cpu.pressure": PSI.format(40_000_000),
                               "io.pressure": PSI.format(57_000_000)})
    made.task(55, "R", 7)
    with sampler(made) as taking:
        words = loadavg.render(taking.sample()).split()
        assert [float(word) for word in words[:3]] == pytest.approx([1, 1, 1], abs=0.03)  # (3 + 40 + 57) s of 100
        assert words[3] == b"4/9"  # one of the two looked at, scaled to nine
        assert words[4] == b"1"  # 55 is not the newest: PID is
        assert columns(taking.sample())["processes"] == [1]


def test_load_of_version_1(tmp_path: Path) -> None:
    made = recent(legacy(tmp_path), 10)
    made.cgroup("cpuacct/docker/c1", {"cpuacct.usage": 5_000_000_000, "tasks": f"{PID}\n5000\n"})
    made.task(5000, "D", 17)
    with sampler(made) as taking:
        sample = taking.sample()
        words = loadavg.render(sample).split()
        assert float(words[0]) == pytest.approx(0.5, abs=0.02)
        assert words[3:] == [b"0/2", b"17"]
        assert columns(sample)["procs_blocked"] == [1]


def test_a_memory_node_has_the_containers_memory(tmp_path: Path) -> None:
    with sampler(unified(tmp_path)) as made:
        sample = made.sample()
        lines = numa.memory(0, sample.numa[0]).decode().splitlines()
    host = NODE_MEMINFO.splitlines()
    assert [line.split(":")[0] for line in lines] == [line.split(":")[0] for line in host]
    assert lines[0] == f"Node 0 MemTotal:       {400 * 1024:8} kB"
    assert lines[3] == f"Node 0 FilePages:      {30 * 1024:8} kB"
    assert lines[5] == host[5]


def test_two_memory_nodes(tmp_path: Path) -> None:
    made = unified(tmp_path)
    for number, total in ((0, 6), (1, 2)):
        for name, text in {"cpulist": "0\n", "cpumap": "1\n", "meminfo": f"Node {number} MemTotal: {total << 20} kB\n"}.items():
            made.write(f"sys/devices/system/node/node{number}/{name}", text)
    made.cgroup("cg/pod/web", {"memory.numa_stat": "anon N0=4096 N1=8192\nfile N0=0 N1=0\n", "cpuset.mems.effective": "0-1\n"})
    with sampler(made) as taking:
        nodes = taking.sample().numa
        assert [nodes[n].memory.total >> 20 for n in (0, 1)] == [300, 100]
        assert [nodes[n].memory.usage.anon for n in (0, 1)] == [4096, 8192]
        made.write("cg/pod/web/cpuset.mems.effective", "1\n")
        nodes = expire(taking).numa
        assert [nodes[n].memory.total >> 20 for n in (0, 1)] == [0, 400]
        assert nodes[0].memory.usage.anon == 0


def test_a_machine_with_many_nodes_keeps_the_kernels_files(tmp_path: Path) -> None:
    made = machine(tmp_path)
    assert host_nodes(made.sys) == (0,)
    (tmp_path / "sys/devices/system/node/node8").mkdir()
    assert host_nodes(made.sys) == ()


def test_sysinfo_tells_what_the_files_tell(tmp_path: Path) -> None:
    made = recent(legacy(tmp_path), 10.3)
    made.cgroup("cpuacct/docker/c1", {"cpuacct.usage": 5_000_000_000, "tasks": f"{PID}\n"})
    with sampler(made) as taking:
        sample = taking.sample()
        told, shown, loads = sysinfo.render(sample, 7), sample.memory, [average << 5 for average in sample.load.averages]
    wide, narrow = sysinfo.WIDE.unpack(told.wide), sysinfo.NARROW.unpack(told.narrow)
    assert (told.until_ns, len(told.wide), len(told.narrow)) == (7, 112, 64)
    assert wide[0] in (11, 12)  # rounded up
    assert list(wide[1:4]) == loads
    assert loads[0] / 65536 == pytest.approx(0.49, abs=0.02)
    assert wide[4:10] == (shown.total, shown.free, shown.usage.shmem, 0, shown.swap_total, shown.swap_free)
    assert (wide[4], *wide[10:]) == (64 << 20, 1, 0, 0, 1)
    assert narrow == wide


@pytest.mark.parametrize(("swap", "unit"), [(8 << 30, 4096), (1 << 30, 1)])
def test_sizes_of_32_bits_are_in_pages_once_they_do_not_fit(tmp_path: Path, swap: int, unit: int) -> None:
    made = unified(tmp_path)
    made.write("proc/meminfo", HOST_MEMINFO.replace("SwapTotal:       2097152", "SwapTotal:      99999999"))
    made.cgroup("cg/pod/web", {"memory.swap.max": swap})
    with sampler(made) as taking:
        told = sysinfo.NARROW.unpack(sysinfo.render(taking.sample(), 0).narrow)
    assert (told[4] * unit, told[8] * unit, told[-1]) == (400 << 20, swap, unit)
