"""What a store of an integer sysctl makes of a text: the kernel's rules, one row each."""
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs.text import integers

INT = integers(-(1 << 31), (1 << 31) - 1)
SMALL = integers(0, 2)
FOUR = integers(-(1 << 31), (1 << 31) - 1, count=4)

TAKEN = [
    (b"65", b"65"), (b"65\n", b"65"), (b" 65 \n", b"65"), (b"65\nmore", b"65"), (b"65 66", b"65"), (b"\t65\t", b"65"), (b"0x41", b"65"),
    (b"0X41", b"65"), (b"0101", b"65"), (b"01", b"1"), (b"0", b"0"),
    (b"-1", b"-1"), (b"2147483647", b"2147483647"), (b"-2147483648", b"-2147483648"),
    (b" " * 4094 + b"7", b"7"),
]
REFUSED = [
    b"\n", b" ", b"65abc", b"+65", b"65\0", b"1x", b"0x", b"08", b"0b1", b"-", b"- 1", b"--1", b"65,66", b"1e3",
    b"99999999999999999999", b"2147483648", b"-2147483649", b"000000000000000000001", b" " * 4095 + b"7", b"\xd9\xa1", b"1\v",
]


@pytest.mark.parametrize(("written", "text"), TAKEN)
def test_taken(written: bytes, text: bytes) -> None:
    assert INT(b"0\n", written) == text + b"\n"


@pytest.mark.parametrize("written", REFUSED)
def test_refused(written: bytes) -> None:
    assert INT(b"0\n", written) == Deny(errno.EINVAL)


def test_nothing_written_changes_nothing() -> None:
    assert INT(b"5\n", b"") == b"5\n"


@pytest.mark.parametrize("written", [b"-1", b"3", b"0x3"])
def test_out_of_range(written: bytes) -> None:
    assert SMALL(b"0\n", written) == Deny(errno.EINVAL)


def test_fewer_fields_than_wanted_keep_the_others() -> None:
    assert FOUR(b"4\t4\t1\t7\n", b"7\n") == b"7\t4\t1\t7\n"
    assert FOUR(b"4\t4\t1\t7\n", b"1 2\t3 4 5") == b"1\t2\t3\t4\n"
    assert FOUR(b"4\t4\t1\t7\n", b"1 x") == Deny(errno.EINVAL)


@given(st.binary(max_size=5000))
def test_whatever_is_written_the_value_stays_in_range(written: bytes) -> None:
    assert SMALL(b"1\n", written[:4095]) in (b"0\n", b"1\n", b"2\n", Deny(errno.EINVAL))


@given(st.integers(0, 2), st.sampled_from(["%d", "%#o", "%#x", " %d\n"]))
def test_every_spelling_of_a_value(value: int, form: str) -> None:
    assert SMALL(b"0\n", (form % value).replace("0o", "0").encode()) == b"%d\n" % value
