"""The admin's rules: how they are written down, what of the table they choose, what of a call the filter then does."""
import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.verdict import Continue
from eci_supervisor.policy import cubes
from eci_supervisor.policy.arch import AUDIT_ARCH, Abi, number
from eci_supervisor.policy.chosen import Parts, chosen, filtered, floor, notified
from eci_supervisor.policy.counters import KERNELS_NAMES, UNCOUNTED, counters
from eci_supervisor.policy.rows import compiled
from eci_supervisor.policy.rule import Allow
from eci_supervisor.policy.table import KINDS, RULES
from tests.support.rows import first_fit

ALL = CallRules(
    trap_all=False, floor=False, deny=("ptrace",), allow=("bpf",), mknod=True, mount_types=MountTypes(False, ("overlay",)),
    mount_sources=("/srv",), mount_targets=("/data",), namespaces=("network", "time"), nested_depth=2, nested_user_namespaces=3)
RULE_SETS = {"none": NO_RULES, "needed": dataclasses.replace(NO_RULES, trap_all=False), "all": ALL}


def within(cube: cubes.Cube, registers: int) -> bool:
    return registers & cube[0] == cube[1]


def place(parts: Parts, registers: int) -> set[str]:
    """What the filter does with these registers: exactly one thing, if it is right."""
    found = {"notified"} if any(within(cube, registers) for cube in parts.notified) else set()
    found |= {"passed"} if any(within(cube, registers) for cube in parts.passed) else set()
    return found | {f"refused {errno}" for errno, cube in parts.refused if within(cube, registers)}


bits = st.lists(st.sampled_from([1 << bit for bit in range(64)]), max_size=8).map(lambda chosen_bits: sum(set(chosen_bits)))
words = st.one_of(bits, st.integers(0, (1 << 64) - 1), st.sampled_from([0xC0ED0000, 0xC0ED1000, 7, 0x107, (1 << 32) + 7]))


@given(st.sampled_from(sorted(RULE_SETS)), st.tuples(words, words, words, words))
def test_every_value_is_passed_refused_or_notified_and_one_of_them_only(rules: str, args: tuple[int, int, int, int]) -> None:
    registers = sum(word << 64 * index for index, word in enumerate(args))
    for call, parts in filtered(RULE_SETS[rules]).items():
        assert len(place(parts, registers)) == 1, call


@given(st.tuples(words, words, words, words))
def test_what_needed_passes_would_be_continued_by_registers(args: tuple[int, int, int, int]) -> None:
    """So the two trap sets give the same verdicts."""
    registers = sum(word << 64 * index for index, word in enumerate(args))
    needed, rows = filtered(RULE_SETS["needed"]), compiled([Abi.X86_64])
    for call, parts in filtered(NO_RULES).items():
        nr = number(Abi.X86_64, call)
        if nr is None or place(parts, registers) != {"notified"}:
            continue
        if call not in needed or place(needed[call], registers) == {"passed"}:
            row = first_fit(rows, AUDIT_ARCH[Abi.X86_64], nr, (*args, 0, 0), {})
            assert row is not None
            assert isinstance(RULES[row.rule].action, Continue | Allow), (call, RULES[row.rule].name)


def test_a_rule_that_is_not_asked_for_is_not_there() -> None:
    assert all(not rule.only for _, rule in chosen(NO_RULES))
    names = {rule.name for _, rule in chosen(ALL)}
    assert {"unshare.no_network", "clone.no_network", "unshare.no_time", "unshare.nest", "clone3.no"} <= names
    assert not names & {"unshare.no_user", "clone.no_time"}


def test_rows_are_for_what_is_notified() -> None:
    numbers = {number(Abi.X86_64, call) for call in notified(NO_RULES)}
    assert {row.nr for row in compiled([Abi.X86_64])} == numbers - {None}


def test_the_floor_in_force() -> None:
    assert floor(ALL) == {"ptrace": 1}
    assert "bpf" not in floor(CallRules(allow=("bpf",)))
    assert floor(CallRules(deny=("keyctl", "clone3")))["keyctl"] == 38


def test_counters_stop_kinds_but_the_one_that_we_need() -> None:
    assert counters(NO_RULES) == {"user.max_user_namespaces": 256}
    assert counters(CallRules(namespaces=("mount", "network", "user"))) == {"user.max_user_namespaces": 0, "user.max_net_namespaces": 0}


def test_every_kind_has_its_kernel_counter() -> None:
    files = [f"/proc/sys/user/max_{KERNELS_NAMES.get(kind, kind)}_namespaces" for kind in KINDS if kind not in UNCOUNTED]
    assert all(Path(file).exists() for file in files)


