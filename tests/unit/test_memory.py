"""A container's memory: the formulas one by one, and what holds whatever the sources say."""
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.procfs import memory
from eci_supervisor.procfs.memory import KIB, HostMemory, HugePages, Level, Memory, Usage
from eci_supervisor.procfs.nodes import meminfo, swaps
from eci_supervisor.procfs.sample import Sample

MIB = 1 << 20
HOST = HostMemory({b"MemTotal": 1 << 20, b"MemAvailable": 900 << 10, b"SwapTotal": 1 << 20, b"SwapFree": 1 << 20})  # 1 GiB of each


class Known:
    """A sample's memory, and nothing else."""

    def __init__(self, value: Memory) -> None:
        self.value = value

    def memory(self) -> Memory:
        return self.value


def sampled(value: Memory) -> Sample:
    return Sample(0, 0, 0, 0, Known(value))  # type: ignore[arg-type] # meminfo asks for nothing else


def test_2_the_least_limit_of_all_levels() -> None:
    levels = [Level(limit=limit and limit * MIB) for limit in (500, 600, None, 400)]
    assert memory.memory(HOST, levels, Usage()).total == 400 * MIB


def test_3_no_limit_is_the_hosts_total() -> None:
    assert memory.memory(HOST, [Level(current=MIB)], Usage()).total == 1 << 30


def test_7_a_full_parent_leaves_nothing_available() -> None:
    levels = [Level(limit=200 * MIB, current=MIB), Level(limit=400 * MIB, current=390 * MIB, reclaimable=4 * MIB)]
    seen = memory.memory(HOST, levels, Usage())
    assert (seen.available, seen.free) == (14 * MIB, 10 * MIB)


def test_high_bounds_what_is_promised_but_not_the_total() -> None:
    seen = memory.memory(HOST, [Level(limit=200 * MIB, high=100 * MIB, current=60 * MIB)], Usage())
    assert (seen.total, seen.available) == (200 * MIB, 40 * MIB)


def test_6_usage_above_a_lowered_limit_is_zero_free() -> None:
    seen = memory.memory(HOST, [Level(limit=10 * MIB, current=60 * MIB, swap_limit=0, swap_current=MIB)], Usage(swap=MIB))
    assert (seen.free, seen.available, seen.swap_total, seen.swap_free) == (0, 0, 0, 0)


def test_swappiness_zero_leaves_the_swap_that_is_used() -> None:
    seen = memory.memory(HOST, [Level(swap_limit=64 * MIB, swap_current=3 * MIB)], Usage(swap=3 * MIB), swappiness=0)
    assert (seen.swap_total, seen.swap_free) == (3 * MIB, 0)


def test_8_hidden_swap() -> None:
    seen = memory.memory(HOST, [Level(swap_limit=64 * MIB)], Usage(swap=MIB, swap_cached=MIB), swap_hidden=True)
    assert swaps.render(sampled(seen)) == swaps.HEADER
    assert (seen.swap_total, seen.swap_free) == (0, 0)


def test_8_swaps_has_one_line_for_all() -> None:
    seen = memory.memory(HOST, [Level(swap_limit=256 * MIB, swap_current=MIB)], Usage(swap=MIB))
    assert swaps.render(sampled(seen)).splitlines()[1] == b"none" + b" " * 36 + b"virtual\t\t262144\t1024\t0"


def test_commit_limit() -> None:
    host = HostMemory(HOST.values, overcommit_ratio=50)
    assert memory.memory(host, [Level(limit=100 * MIB, swap_limit=10 * MIB)], Usage()).commit_limit == 60 * MIB
    host = HostMemory(HOST.values, overcommit_kbytes=1024)
    assert memory.memory(host, [Level(limit=100 * MIB, swap_limit=10 * MIB)], Usage()).commit_limit == 11 * MIB


def test_huge_pages_within_a_limit() -> None:
    pool = HugePages(total=16, free=8, size=2 * MIB)
    assert pool.within(8 * MIB, 2 * MIB) == HugePages(4, 3, 2 * MIB)
    assert pool.within(None, 0) == pool
    assert pool.within(0, 8 * MIB) == HugePages(0, 0, 2 * MIB)


def test_every_stat_key_has_a_field() -> None:
    assert set(memory.STAT_KEYS) == set(Usage.__slots__)


AMOUNT = st.integers(0, 1 << 41)
LIMIT = st.none() | AMOUNT
LEVEL = st.builds(Level, LIMIT, LIMIT, AMOUNT, AMOUNT, LIMIT, AMOUNT)
USED = st.builds(Usage, swap=AMOUNT, swap_cached=AMOUNT, anon=AMOUNT)
HOSTS = st.builds(lambda total, available, swap, free: HostMemory({b"MemTotal": total, b"MemAvailable": available, b"SwapTotal": swap,
                                                                  b"SwapFree": free, b"DirectMap4k": 5, b"Unknown": 7}),
                  st.integers(4, 1 << 31), st.integers(0, 1 << 31), st.integers(0, 1 << 31), st.integers(0, 1 << 31))


@given(HOSTS, st.lists(LEVEL, max_size=4), USED, st.booleans(), st.none() | st.integers(0, 100))
def test_9_invariants(host: HostMemory, levels: list[Level], used: Usage, hidden: bool, swappiness: int | None) -> None:
    seen = memory.memory(host, levels, used, swap_hidden=hidden, swappiness=swappiness)
    assert 0 <= seen.free <= seen.available <= seen.total <= host.bytes_of(b"MemTotal")
    assert seen.total > 0
    assert 0 <= seen.swap_free <= seen.swap_total <= host.bytes_of(b"SwapTotal")
    text = meminfo.render(sampled(seen))
    values = memory.parse_meminfo(text)
    assert list(values) == [key for key in host.values if not key.startswith(b"DirectMap")]
    assert values[b"Unknown"] == 0
    assert values[b"MemTotal"] == seen.total // KIB
    assert all(value >= 0 for value in values.values())
