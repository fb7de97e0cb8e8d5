"""Samples of version 1, version 2 and hybrid machines, from cgroup files to the text of each node."""
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_supervisor.cgroup.parse import ParseError
from eci_supervisor.cgroup.reader import Cgroups, places_of
from eci_supervisor.procfs.memory import parse_meminfo
from eci_supervisor.procfs.nodes import meminfo, swaps, uptime
from eci_supervisor.procfs.sample import Sample
from eci_supervisor.procfs.sampler import LIFE_NS, Sampler, boot_offset_ns, remaining_s, start_ticks
from tests.support.machine import MIB, PID, STAT, Machine, hybrid, legacy, machine, unified


@contextmanager
def sampler(on: Machine, *, swap_hidden: bool = False, attached: bool = True) -> Iterator[Sampler]:
    faults: list[tuple[str, Exception]] = []
    made = Sampler(swap_hidden=swap_hidden, proc=on.proc, sys=on.sys, on_fault=lambda what, error: faults.append((what, error)))
    try:
        if attached:
            made.attach(PID)
        yield made
    finally:
        made.close()
    assert not faults


def values(sample: Sample) -> dict[bytes, int]:
    return parse_meminfo(meminfo.render(sample))


def expire(made: Sampler) -> Sample:
    """The next sample, once the present one's life is over."""
    before = made.sample()
    while made.sample() is before:
        time.sleep(LIFE_NS / 20e9)
    return made.sample()


def test_before_there_is_a_container(tmp_path: Path) -> None:
    with sampler(machine(tmp_path), attached=False) as made:
        sample = made.sample()
    assert uptime.render(sample) == b"0.00 0.00\n"
    assert values(sample)[b"MemTotal"] == 8388608
    assert values(sample)[b"AnonPages"] == 0
    assert swaps.render(sample).startswith(swaps.HEADER)


def test_version_2(tmp_path: Path) -> None:
    with sampler(unified(tmp_path)) as made:
        seen = values(made.sample())
        text = swaps.render(made.sample())
    assert seen[b"MemTotal"] == 400 * 1024  # the parent's
    assert seen[b"MemFree"] == 250 * 1024  # the parent is the fuller one
    assert seen[b"MemAvailable"] == (400 - 150 + 34) * 1024
    assert seen[b"Cached"] == 30 * 1024
    assert seen[b"AnonPages"] == 60 * 1024
    assert seen[b"KReclaimable"] == 4 * 1024
    assert seen[b"Percpu"] == 64
    assert (seen[b"SwapTotal"], seen[b"SwapFree"]) == (262144, 248 * 1024)
    assert seen[b"Committed_AS"] == (60 + 1 + 8) * 1024
    assert text.splitlines()[1].split() == [b"none", b"virtual", b"262144", b"8192", b"0"]


def test_keys_and_order_are_the_hosts_but_for_its_direct_map(tmp_path: Path) -> None:
    with sampler(unified(tmp_path)) as made:
        text = meminfo.render(made.sample())
    keys = [line.split(b":")[0] for line in text.splitlines()]
    host = [line.split(b":")[0] for line in (tmp_path / "proc/meminfo").read_bytes().splitlines()]
    assert keys == [key for key in host if not key.startswith(b"DirectMap")]
    assert b"SomethingNew:          0 kB\n" in text
    assert b"HugePages_Total:      16\n" in text
    assert b"Buffers:               0 kB\n" in text


def test_version_1(tmp_path: Path) -> None:
    with sampler(legacy(tmp_path)) as made:
        sample = made.sample()
        seen = values(sample)
        first, idle = (float(word) for word in uptime.render(sample).split())
    assert seen[b"MemTotal"] == 65536
    assert seen[b"MemFree"] == 14 * 1024
    assert seen[b"MemAvailable"] == (64 - 50 + 29) * 1024
    assert (seen[b"SwapTotal"], seen[b"SwapFree"], seen[b"SwapCached"]) == (32 * 1024, 28 * 1024, 1024)
    assert (seen[b"AnonPages"], seen[b"AnonHugePages"]) == (20 * 1024, 2048)
    assert idle == pytest.approx(first - 2, abs=0.02)  # one CPU, busy for two seconds


def test_version_1_with_swappiness_0(tmp_path: Path) -> None:
    made = legacy(tmp_path)
    made.write("memory/docker/c1/memory.swappiness", 0)
    with sampler(made) as taking:
        seen = values(taking.sample())
    assert (seen[b"SwapTotal"], seen[b"SwapFree"]) == (4 * 1024, 0)


def test_hybrid(tmp_path: Path) -> None:
    with sampler(hybrid(tmp_path)) as made:
        sample = made.sample()
        first, idle = (float(word) for word in uptime.render(sample).split())
        assert values(sample)[b"MemTotal"] == 400 * 1024
    assert idle == pytest.approx(first - 1, abs=0.02)


def test_swap_is_hidden_in_system_mode(tmp_path: Path) -> None:
    with sampler(unified(tmp_path), swap_hidden=True) as made:
        sample = made.sample()
    assert swaps.render(sample) == swaps.HEADER
    assert [values(sample)[key] for key in (b"SwapTotal", b"SwapFree", b"SwapCached")] == [0, 0, 0]


def test_a_controller_the_cgroup_lacks(tmp_path: Path) -> None:
    """Limits are the nearest level's that has it, usage is 0: never the parent's."""
    made = unified(tmp_path)
    for name in (tmp_path / "cg/pod/web").glob("memory.*"):
        name.unlink()
    with sampler(made) as taking:
        seen = values(taking.sample())
    assert seen[b"MemTotal"] == 400 * 1024
    assert seen[b"AnonPages"] == seen[b"Cached"] == 0


def test_huge_pages_within_the_limit(tmp_path: Path) -> None:
    made = unified(tmp_path)
    made.cgroup("cg/pod/web", {"hugetlb.2MB.max": 8 * MIB, "hugetlb.2MB.current": 2 * MIB})
    with sampler(made) as taking:
        seen = values(taking.sample())
    assert (seen[b"HugePages_Total"], seen[b"HugePages_Free"], seen[b"Hugetlb"]) == (4, 3, 8 * 1024)


def test_a_sample_lives_a_tenth_of_a_second(tmp_path: Path) -> None:
    made = unified(tmp_path)
    with sampler(made) as taking:
        sample = taking.sample()
        before = values(sample)
        made.write("cg/pod/web/memory.current", 390 * MIB)
        made.write("cg/pod/web/memory.max", 391 * MIB)
        assert taking.sample() is sample
        assert values(sample) == before
        assert 0 < remaining_s(sample) <= LIFE_NS / 1e9
        after = values(expire(taking))
    assert after[b"MemTotal"] == 391 * 1024
    assert after[b"MemFree"] == 1024


def test_a_sample_stays_while_the_kernel_shows_it(tmp_path: Path) -> None:
    """An answer that came a tick late: it is shown as much longer."""
    with sampler(unified(tmp_path)) as taking:
        sample = taking.sample()
        taking.shown_until_s = lambda: (sample.end_ns + LIFE_NS) / 1e9
        time.sleep(LIFE_NS * 1.2 / 1e9)
        assert taking.sample() is sample
        assert remaining_s(sample) == 0
        taking.shown_until_s = lambda: 0.0
        assert taking.sample() is not sample


def test_a_cgroup_that_is_gone_leaves_the_last_values(tmp_path: Path) -> None:
    with sampler(unified(tmp_path)) as made:
        before = values(made.sample())
        idle = made.sample().idle_ns
        shutil.rmtree(tmp_path / "cg/pod/web")
        after = expire(made)
        assert values(after) == before
        assert after.idle_ns == idle


def test_a_text_of_another_shape_leaves_the_last_values(tmp_path: Path) -> None:
    made = unified(tmp_path)
    faults: list[str] = []
    taking = Sampler(proc=made.proc, sys=made.sys, on_fault=lambda what, _error: faults.append(what))
    taking.attach(PID)
    before = values(taking.sample())
    made.write("cg/pod/web/memory.stat", "anon many\n")
    assert values(expire(taking)) == before
    made.write("proc/meminfo", "what?\n")
    assert values(expire(taking)) == before
    assert faults == ["memory"]
    taking.close()


def test_uptime_never_goes_back_and_counts_from_init(tmp_path: Path) -> None:
    made = unified(tmp_path)
    ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10_000_000 - 150
    made.write(f"proc/{PID}/stat", STAT.format(ticks=ticks))
    with sampler(made) as taking:
        first = float(uptime.render(taking.sample()).split()[0])
        second = float(uptime.render(expire(taking)).split()[0])
    assert 1.5 <= first < second < 11.5


@pytest.mark.parametrize("name", [b"a", b"a) b (c", b"(", b")", b") 5 ("])
def test_21_names_of_processes_cannot_move_the_start_time(name: bytes) -> None:
    assert start_ticks(STAT.format(ticks=4711).encode().replace(b"a) b (c", name, 1)) == 4711


@pytest.mark.parametrize("text", [b"", b"1 (a)", b"1 (a) S 1", b"no parenthesis"])
def test_no_stat_of_a_process(text: bytes) -> None:
    with pytest.raises(ParseError):
        start_ticks(text)


def test_a_cgroup_that_cannot_be_opened(tmp_path: Path) -> None:
    made = unified(tmp_path)
    shutil.rmtree(tmp_path / "cg/pod")
    with pytest.raises(FileNotFoundError, match="cg/pod/web"):
        Cgroups(places_of(PID, made.proc))


def test_20_in_a_time_namespace_its_clock_decides(tmp_path: Path) -> None:
    """It was set when the container was made, a moment before init started."""
    made, now_s = unified(tmp_path), int(time.clock_gettime(time.CLOCK_BOOTTIME))
    made.write(f"proc/{PID}/timens_offsets", f"monotonic           0         0\nboottime   {-(now_s - 500)}         0\n")
    with sampler(made) as taking:
        sample = taking.sample()
        assert 499 <= sample.uptime_ns / 1e9 < 510
        assert abs(sample.btime + sample.uptime_ns / 1e9 - time.time()) < 2


@pytest.mark.parametrize("text", [b"", b"monotonic 0 0\nboottime 0 0\n", b"monotonic 5 0\n"])
def test_without_an_offset_there_is_none(text: bytes) -> None:
    assert boot_offset_ns(text) == 0
