"""native/policy.c against the same rows in Python."""
import json
from errno import EFAULT, ENAMETOOLONG
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.native import ffi, lib
from eci_supervisor.policy.arch import AUDIT_ARCH, Abi, number
from eci_supervisor.policy.rows import Row, RowAction, compiled
from eci_supervisor.policy.rule import Kind
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.serve import to_c
from tests.support.rows import first_fit

ROWS = compiled(Abi)
VECTORS = Path(__file__).parents[1] / "data/decisions.json"
RULE_SETS = {"none": NO_RULES, "depth": CallRules(nested_depth=2), "needed": CallRules(trap_all=False)}
POLICIES = {name: to_c(compiled(Abi, calls)) for name, calls in RULE_SETS.items()}
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


def decided_in_c(policy: Any, arch: int, nr: int, args: tuple[int, ...], texts: dict[int, bytes | int]) -> int:  # noqa: ANN401
    """Index of the first row that fits, found as the serving thread finds it; a text that is a number is its errno."""
    at = -1
    registers = ffi.new("uint64_t[6]", list(args))
    while (at := int(lib.eci_policy_next(policy, at + 1, arch, nr, registers))) >= 0:
        row = policy.rows[at]
        if row.text < 0:
            return at
        found = texts.get(row.text)
        value = found if isinstance(found, bytes) else b""
        text = {"arg": row.text, "error": found if isinstance(found, int) else 0, "null": found is None, "length": len(value)}
        if lib.eci_row_named(ffi.addressof(row), ffi.new("struct eci_text *", text), ffi.new("char[]", value)):
            return at
    return -1


texts = st.dictionaries(st.just(2), st.one_of(
    st.sampled_from([b"proc", b"sysfs", b"", b"tmpfs", b"PROC", b"proc.x", b"sysfs ", b"procsysfs12345678", EFAULT, ENAMETOOLONG]),
    st.binary(max_size=20).filter(lambda text: b"\0" not in text)))


@given(st.sampled_from(sorted(RULE_SETS)), calls, st.tuples(*[registers] * 6), texts)
def test_notifications_are_decided_alike(rules: str, call: tuple[int, int], args: tuple[int, ...], read: dict[int, bytes | int]) -> None:
    """Registers and the copied type; a text that could not be read is no name."""
    rows = compiled(Abi, RULE_SETS[rules])
    found = decided_in_c(POLICIES[rules], *call, args, read)
    readable = {index: text for index, text in read.items() if isinstance(text, bytes)}
    assert (rows[found] if found >= 0 else None) is first_fit(rows, *call, args, readable)


def recorded() -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return vectors


@pytest.mark.parametrize("vector", recorded(), ids=lambda vector: f"{vector['abi']} {vector['call']} {vector['args']} {vector['type']}")
def test_recorded_decisions(vector: dict[str, Any]) -> None:
    """`python -m tests.unit.test_policy_in_c` writes them anew; the difference is reviewed."""
    assert decision(vector) == vector["rule"]


def decision(vector: dict[str, Any]) -> str | None:
    """The rule's name."""
    abi = Abi(vector["abi"])
    nr = number(abi, vector["call"])
    args = tuple(int(word, 16) for word in vector["args"])
    read: dict[int, bytes | int] = {} if vector["type"] is None else {2: vector["type"].encode()}
    found = -1 if nr is None else decided_in_c(POLICIES["none"], AUDIT_ARCH[abi], nr, args + (0,) * (6 - len(args)), read)
    return RULES[ROWS[found].rule].name if found >= 0 else None


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


FLAGS = (0, 1, 0x20, 0x21, 0x1000, 0x1020, 0x5000, 0x2000, 0x2020, 0x3000, 1 << 17, 1 << 18 | 0x4000, 1 << 19, 1 << 20, 1 << 20 | 0x1000,
         1 << 18 | 0x1020, 0x8000, 0xC0ED0000, 0xC0ED0001, 0xC0ED1020, 0xC0ED2000, 0xC0ED0000 | 1 << 40, 1 << 31, 1 << 40, (1 << 64) - 1)
OTHERS = (("umount2", 1, (0, 1, 2, 3, 4, 8, 0x10, 0xFFFFFFFF00000002)), ("umount", 0, (0,)), ("setns", 1, (0, 0x20000)),
          ("unshare", 0, (0, 0x80, 0x20000, 0x10020000, 1)), ("clone", 0, (17, 0x80, 0x10000011, 0x7E020011)), ("clone3", 0, (1,)),
          ("open_tree", 2, (0, 1, 2, 3, 0x8001, 0x80001)), ("mount_setattr", 2, (0, 0x8000, 0x1000)), ("fsconfig", 1, (6, 7, 1 << 32 | 7)),
          ("fsmount", 0, (3,)), ("sysinfo", 0, (8,)))


def _vectors() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"abi": abi.value, "call": "mount", "args": ["0x1", "0x2", "0x3", hex(flags)], "type": fstype}
        for abi in (Abi.X86_64, Abi.I386, Abi.X32, Abi.AARCH64) for flags in FLAGS for fstype in ("proc", "tmpfs", None)]
    made += [
        {"abi": abi.value, "call": call, "args": ["0x0"] * place + [hex(value)], "type": None}
        for abi in (Abi.X86_64, Abi.I386, Abi.X32, Abi.AARCH64) for call, place, values in OTHERS for value in values]
    return [{**vector, "rule": decision(vector)} for vector in made]


if __name__ == "__main__":
    VECTORS.write_text("[\n" + ",\n".join(json.dumps(vector) for vector in _vectors()) + "\n]\n")
