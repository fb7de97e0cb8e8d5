"""The pool and what is free of it."""
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.idmap.ranges import DEFAULT, common, first_free, lines, merged, pool
from eci_supervisor.model.ids import RANGE_SIZE, IdRange

RANGES = st.builds(IdRange, st.integers(0, 4_000_000), st.integers(1, 400_000))
LINES = st.lists(st.tuples(st.sampled_from(["eci", "alice", "bob"]), RANGES), max_size=8)


def text(entries: list[tuple[str, IdRange]]) -> str:
    return "".join(f"{owner}:{ids.start}:{ids.count}\n" for owner, ids in entries)


def members(ranges: list[IdRange]) -> set[int]:
    """Every 1000th id is enough to tell two sets of ranges apart here, with both ends."""
    return {number for ids in ranges for number in (*range(ids.start, ids.end, 1000), ids.end - 1)}


def inside(number: int, ranges: list[IdRange]) -> bool:
    return any(ids.start <= number < ids.end for ids in ranges)


def test_the_default_pool_begins_at_100000() -> None:
    found = list(pool("", "").ranges())
    assert found[:2] == [IdRange(100_000), IdRange(165_536)]
    assert len(found) == 4096
    assert found[-1].end == DEFAULT.end


def test_the_first_user_of_the_host_keeps_what_useradd_gave() -> None:
    assert next(pool("alice:100000:65536\n", "").ranges()).start == 165_536
    assert next(pool("", "alice:165535:2\n").ranges()).start == 231_072


def test_a_line_of_ours_counts_where_both_files_have_it() -> None:
    assert list(pool("eci:200000:200000\n", "eci:300000:200000\n").ranges()) == [IdRange(300_000)]
    assert list(pool("eci:200000:200000\n", "").ranges()) == []


def test_no_line_gives_a_container_the_ids_of_the_hosts_users() -> None:
    assert [ids.start for ids in pool("eci:0:262144\n", "eci:0:262144\n").ranges()] == [65_536, 131_072, 196_608]
    assert [ids.start for ids in pool("eci:1000:196608\n", "eci:1000:196608\n").ranges()] == [66_536, 132_072]


def test_lines_that_are_none_are_skipped() -> None:
    assert list(lines("# a comment\n\nalice:1\nbob:x:1\nbob:1:0\nbob: 5:5\n1000:7:4294967290\n")) == [("1000", IdRange(7, 4294967288))]


@given(LINES, LINES)
def test_ranges_are_disjoint_and_nobody_elses(subuid: list[tuple[str, IdRange]], subgid: list[tuple[str, IdRange]]) -> None:
    source = pool(text(subuid), text(subgid))
    found = list(source.ranges())
    assert all(ids.count == RANGE_SIZE for ids in found)
    assert all(left.end <= right.start for left, right in pairwise(found))
    others = [IdRange(0, 65536), *(ids for owner, ids in subuid + subgid if owner != "eci")]
    assert not any(ids.overlaps(other) for ids in found for other in others)
    if source.from_file:
        for entries in (subuid, subgid):
            ours = [ids for owner, ids in entries if owner == "eci"]
            assert all(inside(ids.start, ours) and inside(ids.end - 1, ours) for ids in found)


@given(st.lists(RANGES, max_size=6), st.lists(RANGES, max_size=6))
def test_common_is_what_is_in_both(left: list[IdRange], right: list[IdRange]) -> None:
    both = common(left, right)
    assert merged(both) == both
    for number in members(left) | members(right):
        assert inside(number, both) == (inside(number, left) and inside(number, right))


@given(LINES, st.lists(st.integers(0, 90).map(lambda index: IdRange(100_000 + index * 30_000)), max_size=20))
def test_a_free_range_overlaps_no_lease(subuid: list[tuple[str, IdRange]], leased: list[IdRange]) -> None:
    """Also not one that was cut from a pool with other borders: the files may have changed since."""
    source = pool(text(subuid), text(subuid))
    free = first_free(source, leased)
    if free is None:
        assert all(any(ids.overlaps(lease) for lease in leased) for ids in source.ranges())
    else:
        assert not any(free.overlaps(lease) for lease in leased)
