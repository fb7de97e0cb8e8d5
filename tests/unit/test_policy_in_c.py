"""native/policy.c against the same rows in Python."""
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.native import ffi, lib
from eci_supervisor.policy.arch import Abi
from eci_supervisor.policy.rows import Row, RowAction, compiled
from eci_supervisor.policy.rule import Kind
from eci_supervisor.seccomp.serve import to_c
from tests.support.rows import first_fit

ROWS = compiled(Abi)
WORD = (1 << 64) - 1
INTERESTING = [0, 1, 2, 0x20, 0x1000, 0x1020, 0x2000, 1 << 17, 1 << 20, 0xC0ED0000, 0xC0ED0020, 1 << 31, 1 << 40, WORD]
registers = st.one_of(
    st.sampled_from(INTERESTING),
    st.integers(0, WORD),
    st.lists(st.sampled_from(INTERESTING), max_size=4).map(lambda bits: sum(set(bits)) & WORD),
)
calls = st.one_of(
    st.sampled_from(sorted({(row.arch, row.nr) for row in ROWS})),
    st.tuples(st.integers(0, (1 << 32) - 1), st.integers(-(1 << 31), (1 << 31) - 1)),
)
own_rows = st.builds(
    Row, arch=st.just(3), nr=st.integers(0, 2), arg=st.integers(0, 5), kind=st.sampled_from(Kind), mask=registers, value=registers,
    text=st.just(-1), names=st.just(()), action=st.sampled_from(RowAction), errno=st.integers(0, 99), rule=st.integers(0, 9),
    reads=st.integers(0, 63), pages=st.integers(0, 63),
)


def in_c(policy: object, arch: int, nr: int, args: tuple[int, ...]) -> int:
    """Index of the first row that fits the registers."""
    return int(lib.eci_policy_next(policy, 0, arch, nr, ffi.new("uint64_t[6]", list(args))))


def by_registers(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Text conditions are serve.c's to look at: without them, a row fits by its registers."""
    return tuple(row for row in rows if row.text < 0)


@given(calls, st.tuples(*[registers] * 6))
def test_the_table_decides_alike_in_c_and_python(call: tuple[int, int], args: tuple[int, ...]) -> None:
    rows = by_registers(ROWS)
    found = in_c(to_c(rows), *call, args)
    assert (rows[found] if found >= 0 else None) is first_fit(rows, *call, args, {})


@given(st.lists(own_rows, max_size=8), st.integers(0, 2), st.tuples(*[registers] * 6))
def test_any_rows_decide_alike_in_c_and_python(rows: list[Row], nr: int, args: tuple[int, ...]) -> None:
    found = in_c(to_c(tuple(rows)), 3, nr, args)
    assert (rows[found] if found >= 0 else None) is first_fit(rows, 3, nr, args, {})


def test_a_row_keeps_every_field_on_its_way_to_c() -> None:
    for place, row in zip(to_c(ROWS).rows, ROWS, strict=False):
        assert (place.arch, place.nr, place.arg, place.mask, place.value) == (row.arch, row.nr, row.arg, row.mask, row.value)
        assert (place.reg, place.action, place.error, place.rule) == (row.kind.value, row.action, row.errno, row.rule)
        assert (place.text, place.reads, place.pages) == (row.text, row.reads, row.pages)
        assert tuple(ffi.string(name) for name in place.names if name[0] != b"\0") == row.names


def test_the_numbers_of_the_enums_are_the_headers() -> None:
    assert [kind.value for kind in (Kind.WORD, Kind.INT, Kind.MOUNT_FLAGS)] == [lib.ECI_WORD, lib.ECI_INT, lib.ECI_MOUNT_FLAGS]
    assert [RowAction.CONTINUE, RowAction.ERRNO, RowAction.ASK, RowAction.SYSINFO] == [
        lib.ECI_CONTINUE, lib.ECI_ERRNO, lib.ECI_ASK, lib.ECI_SYSINFO]
