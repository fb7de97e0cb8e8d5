"""Which CPUs are shown, and how sets of them are written."""
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.cgroup.parse import cpu_list
from eci_supervisor.procfs.cpu_view import CpuView, list_text, mask_text, shown


@pytest.mark.parametrize(("quota", "cpus"), [
    (None, (1, 3, 5)), (Fraction(3, 2), (1, 3)), (Fraction(1), (1,)), (Fraction(1, 10), (1,)), (Fraction(9), (1, 3, 5)),
])  # fmt: skip
def test_a_quota_narrows_where_it_is_asked_to(quota: Fraction | None, cpus: tuple[int, ...]) -> None:
    assert shown((1, 3, 5), quota, CpuView.QUOTA) == cpus
    assert shown((1, 3, 5), quota, CpuView.CPUSET) == (1, 3, 5)


@pytest.mark.parametrize(("cpus", "text"), [((), b"\n"), ((1,), b"1\n"), ((0, 2, 3), b"0,2-3\n"), ((0, 1, 2, 3), b"0-3\n")])
def test_a_list(cpus: tuple[int, ...], text: bytes) -> None:
    assert list_text(cpus) == text


@given(st.sets(st.integers(0, 300)))
def test_a_list_reads_back(cpus: set[int]) -> None:
    assert cpu_list(list_text(sorted(cpus))) == tuple(sorted(cpus))


@pytest.mark.parametrize(("host", "cpus", "text"), [
    (b"3\n", (1,), b"2\n"), (b"3\n", (), b"0\n"), (b"f\n", (0, 3, 9), b"9\n"),
    (b"0000ffff,ffffffff\n", (0, 33), b"00000002,00000001\n"),
])  # fmt: skip
def test_a_mask_keeps_the_hosts_width(host: bytes, cpus: tuple[int, ...], text: bytes) -> None:
    assert mask_text(host, cpus) == text
