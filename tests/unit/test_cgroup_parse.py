"""The texts cgroups speak, and what else may come: only ParseError may come out."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.cgroup import parse
from eci_supervisor.cgroup.parse import UNIFIED, ParseError, Place

V1 = b"4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n1:name=systemd:/docker/a\n0::/docker/a\n"


def mount(point: str, kind: str, options: str, root: str = "/") -> bytes:
    return f"31 23 0:28 {root} {point} rw,relatime shared:9 - {kind} {kind} {options}\n".encode()


def test_each_controller_where_it_is_mounted() -> None:
    legacy = mount("/cg/memory", "cgroup", "rw,memory") + mount("/cg/cpu", "cgroup", "rw,cpu,cpuacct")
    mounts = legacy + mount("/cg/unified", "cgroup2", "rw")
    found = parse.places(V1, mounts)
    assert found[b"memory"] == Place(1, b"/cg/memory/docker/a", b"/cg/memory")
    assert found[b"cpuacct"] == found[b"cpu"] == Place(1, b"/cg/cpu/docker/a", b"/cg/cpu")
    assert found[UNIFIED] == Place(2, b"/cg/unified/docker/a", b"/cg/unified")
    assert b"name=systemd" not in found  # not mounted


def test_ancestors_without_the_root() -> None:
    assert list(Place(2, b"/cg/a/b/c", b"/cg").ancestors()) == [b"/cg/a/b/c", b"/cg/a/b", b"/cg/a"]
    assert list(Place(2, b"/cg", b"/cg").ancestors()) == [b"/cg"]


def test_a_mount_of_a_part_of_the_hierarchy() -> None:
    part = mount("/cg", "cgroup2", "rw", root="/docker")
    assert parse.places(b"0::/docker/a\n", part)[UNIFIED] == Place(2, b"/cg/a", b"/cg")
    assert parse.places(b"0::/docker\n", part)[UNIFIED] == Place(2, b"/cg", b"/cg")
    assert parse.places(b"0::/docker2/a\n", part) == {}


def test_outside_of_our_cgroup_namespace() -> None:
    assert parse.places(b"0::/../other\n", mount("/cg", "cgroup2", "rw")) == {}


def test_mount_points_with_blanks() -> None:
    assert parse.places(b"0::/a\n", mount(r"/my\040cg", "cgroup2", "rw"))[UNIFIED].directory == b"/my cg/a"


def test_keys_are_whole() -> None:
    assert parse.flat(b"file 1\nfile_mapped 2\n") == {b"file": 1, b"file_mapped": 2}


@pytest.mark.parametrize(("text", "cpus"), [(b"0,2-3\n", (0, 2, 3)), (b"\n", ()), (b"5\n", (5,)), (b"0-1,4-5,9\n", (0, 1, 4, 5, 9))])
def test_cpu_lists(text: bytes, cpus: tuple[int, ...]) -> None:
    assert parse.cpu_list(text) == cpus


def test_limits() -> None:
    assert parse.limit(b"max\n") is None
    assert parse.limit(b"67108864\n") == 67108864


def test_usage_by_cpu() -> None:
    assert parse.usage_all(b"cpu user system\n0 5 6\n1 7 8\n") == {0: (5, 6), 1: (7, 8)}
    assert parse.usage_percpu(b"5 6 \n") == {0: 5, 1: 6}


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_only_parse_errors_come_out(text: bytes, other: bytes) -> None:
    for function in (parse.flat, parse.limit, parse.usage_all, parse.usage_percpu, parse.memberships):
        try:
            function(text)
        except ParseError:
            continue
    try:
        parse.places(text, other)
    except ParseError:
        return
