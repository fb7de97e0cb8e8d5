"""The nodes of a container on a real kernel with cgroup version 2 alone, from a recording: see tests/vm. Numbers: acceptance lines."""
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest

from eci_supervisor.cgroup.parse import flat
from eci_supervisor.cgroup.reader import Cgroups, places_of
from eci_supervisor.procfs import readings, tree
from eci_supervisor.procfs.cpu_view import CpuView
from eci_supervisor.procfs.memory import parse_meminfo
from eci_supervisor.procfs.node import File
from eci_supervisor.procfs.nodes import cgroups, cpuinfo, cpus, diskstats, loadavg, meminfo, numa, pressure, stat, swaps, vmstat
from eci_supervisor.procfs.sample import Sample
from eci_supervisor.procfs.sampler import LIFE_NS, Sampler
from tests.support.machine import MIB
from tests.support.recorded import Recorded

MEMORY_MAX, MEMORY_HIGH, SWAP_MAX = 160 * MIB, 152 * MIB, 64 * MIB


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


@pytest.fixture
def sampler(recorded: Recorded) -> Iterator[Sampler]:
    faults: list[tuple[str, Exception]] = []
    init = recorded.moment("idle")
    made = Sampler(proc=recorded.proc, sys=recorded.sys, on_fault=lambda what, error: faults.append((what, error)))
    made.attach(init)
    sample = made.sample()
    for node in tree.NODES.values():
        if isinstance(node, File):
            with suppress(KeyError):  # of a CPU or memory node that the recorded machine does not have
                node.render(sample)  # what is read once stays open until close()
    yield made
    made.close()
    assert not faults


def later(made: Sampler, recorded: Recorded) -> Sample:
    """The first sample of the moment after the work."""
    made.sample()
    recorded.moment("busy")
    time.sleep(LIFE_NS / 1e9)
    return made.sample()


def columns(text: bytes) -> dict[str, list[int]]:
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, text.decode().splitlines())}


def test_memory(sampler: Sampler, recorded: Recorded) -> None:
    """Lines 2, 4, 8: the least limit of all levels; what was touched is there."""
    before = parse_meminfo(meminfo.render(sampler.sample()))
    seen = parse_meminfo(meminfo.render(later(sampler, recorded)))
    current, kernel = int(recorded.cgroup_text("memory.current")), flat(recorded.cgroup_text("memory.stat").encode())
    assert seen[b"MemTotal"] == before[b"MemTotal"] == MEMORY_MAX >> 10
    reclaimable = sum(kernel[key] for key in (b"active_file", b"inactive_file", b"slab_reclaimable"))
    assert seen[b"MemFree"] == seen[b"MemAvailable"] == (MEMORY_HIGH - current + reclaimable) >> 10  # above it the kernel throttles
    assert seen[b"AnonPages"] - before[b"AnonPages"] > 100 << 10
    assert (seen[b"Shmem"], seen[b"Mapped"]) == (kernel[b"shmem"] >> 10, kernel[b"file_mapped"] >> 10)
    assert seen[b"PageTables"] == kernel[b"pagetables"] >> 10 > 0
    assert seen[b"Slab"] == kernel[b"slab"] >> 10
    assert seen[b"SwapTotal"] == SWAP_MAX >> 10
    assert seen[b"SwapFree"] == (SWAP_MAX - int(recorded.cgroup_text("memory.swap.current"))) >> 10
    assert (seen[b"HugePages_Total"], seen[b"Hugetlb"]) == (2, 4096)  # the machine has 8, the container 4 MiB
    assert 0 <= seen[b"MemFree"] <= seen[b"MemAvailable"] <= seen[b"MemTotal"]
    assert b"virtual\t\t65536\t" in swaps.render(sampler.sample())


def test_processors(sampler: Sampler, recorded: Recorded) -> None:
    """Line 13: 1-3 were asked for below a parent that has 0-2."""
    sample = later(sampler, recorded)
    assert cpus.online(sample) == b"1-2\n"
    assert cpus.offline(sample) == b"0,3\n"
    assert cpuinfo.render(sample).count(b"processor\t: ") == 2
    assert list(columns(stat.render(sample)))[:3] == ["cpu", "cpu1", "cpu2"]


def test_time(sampler: Sampler, recorded: Recorded) -> None:
    """Line 17: the columns are the kernel's sum, shared out without a rest."""
    before = columns(stat.render(sampler.sample()))
    after = columns(stat.render(later(sampler, recorded)))
    kernel = flat(recorded.cgroup_text("cpu.stat").encode())
    assert after["cpu"][0] == kernel[b"user_usec"] // 10_000
    assert after["cpu"][2] == kernel[b"system_usec"] // 10_000
    assert sum(after["cpu"][:3]) - sum(before["cpu"][:3]) > 200
    assert [a + b for a, b in zip(after["cpu1"], after["cpu2"], strict=True)] == after["cpu"]
    assert all(now >= then for key in ("cpu", "cpu1", "cpu2") for now, then in zip(after[key], before[key], strict=True))


def test_15_a_quota_of_an_ancestor(recorded: Recorded) -> None:
    groups = Cgroups(places_of(recorded.moment("idle"), recorded.proc))
    try:
        assert readings.cpu_quota(groups) == Fraction(6, 5)  # the parent's; its own is 3
    finally:
        groups.close()
    made = Sampler(proc=recorded.proc, sys=recorded.sys, cpu_view=CpuView.QUOTA)
    made.attach(recorded.moment("idle"))
    assert cpus.online(made.sample()) == b"1-2\n"
    made.close()


def test_24_disks(sampler: Sampler, recorded: Recorded) -> None:
    assert diskstats.render(sampler.sample()) == b""
    shown = {line.split()[2]: line.split() for line in diskstats.render(later(sampler, recorded)).decode().splitlines()}
    assert shown["vda"][:3] == ["254", "0", "vda"]
    assert (int(shown["vda"][7]), int(shown["vda"][9])) == (20, 20 * 2048)
    assert int(shown["vdb"][9]) > 0  # swapped out
    assert all(len(words) == 20 for words in shown.values())


def test_25_pressure(sampler: Sampler, recorded: Recorded) -> None:
    sample = later(sampler, recorded)
    for name in ("cpu", "io", "memory"):
        assert pressure.of(name, b"some", b"full")(sample) == recorded.cgroup_text(f"{name}.pressure").encode()
    assert b"total=0\n" not in pressure.of("cpu", b"some")(sample)


def test_load_and_tasks(sampler: Sampler, recorded: Recorded) -> None:
    words = loadavg.render(later(sampler, recorded)).split()
    assert words[3].split(b"/")[1] == recorded.cgroup_text("pids.current").strip().encode()


def test_events_and_groups(sampler: Sampler, recorded: Recorded) -> None:
    sample = later(sampler, recorded)
    shown = dict(line.split() for line in vmstat.render(sample).splitlines())
    kernel = flat(recorded.cgroup_text("memory.stat").encode())
    assert list(shown) == [line.split()[0] for line in Path(recorded.proc, "vmstat").read_bytes().splitlines()]
    assert (int(shown[b"pgfault"]), int(shown[b"pswpout"])) == (kernel[b"pgfault"], kernel.get(b"pswpout", 0))
    assert int(shown[b"pgpgout"]) >= 20 << 10
    assert {line.split()[2] for line in cgroups.render(sample).splitlines()[1:]} == {b"1"}


def test_memory_of_a_node(sampler: Sampler, recorded: Recorded) -> None:
    text = numa.memory(0, later(sampler, recorded).numa[0])
    shown = {line.split()[2].rstrip(b":"): int(line.split()[3]) for line in text.splitlines()}
    assert shown[b"MemTotal"] == MEMORY_MAX >> 10
    assert shown[b"AnonPages"] > 60 << 10
