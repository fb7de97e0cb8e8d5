"""RULES: complete, in an order that means what it says, and with numbers that are the kernel's."""
from collections.abc import Iterator
from itertools import product

import pytest

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.verdict import Continue
from eci_supervisor.policy.arch import Abi, abi_of, number
from eci_supervisor.policy.chosen import chosen, notified
from eci_supervisor.policy.rows import RowAction, compiled
from eci_supervisor.policy.rule import Ask, Masked, Rule
from eci_supervisor.policy.table import FLOOR, RULES
from eci_supervisor.seccomp.handlers import HANDLERS, RULED_HANDLERS
from tests.support.rows import first_fit

# asm/unistd_64.h, unistd_32.h and asm-generic/unistd.h; None where the ABI has no such call.
NUMBERS = {
    "mount": (165, 21, 40), "umount2": (166, 52, 39), "umount": (None, 22, None), "unshare": (272, 310, 97), "setns": (308, 346, 268),
    "syslog": (103, 103, 116), "sysinfo": (99, 116, 179), "clone": (56, 120, 220), "pivot_root": (155, 217, 41), "chroot": (161, 61, 51),
    "mknod": (133, 14, None), "mknodat": (259, 297, 33), "sethostname": (170, 74, 161), "reboot": (169, 88, 142), "swapon": (167, 87, 224),
    "swapoff": (168, 115, 225), "open_tree": (428, 428, 428), "fspick": (433, 433, 433), "clone3": (435, 435, 435),
    "mount_setattr": (442, 442, 442),
}
X86_64 = 0xC000003E
NOTIFIED = notified(CallRules())
REMOUNT, BIND, MOVE, REC, SHARED, PRIVATE, SLAVE, UNBINDABLE, SILENT, RDONLY = (
    0x20, 0x1000, 0x2000, 0x4000, 1 << 20, 1 << 18, 1 << 19, 1 << 17, 0x8000, 1)  # fmt: skip
MGC = 0xC0ED0000


@pytest.mark.parametrize("call", NUMBERS)
def test_numbers_of_each_abi(call: str) -> None:
    x86_64, i386, aarch64 = NUMBERS[call]
    assert (number(Abi.X86_64, call), number(Abi.I386, call), number(Abi.AARCH64, call)) == (x86_64, i386, aarch64)
    assert number(Abi.X32, call) == (None if x86_64 is None else x86_64 | 0x40000000)


def test_a_call_that_nobody_knows_has_no_number() -> None:
    assert number(Abi.X86_64, "no_such_call") is None


def test_the_abi_is_told_by_architecture_and_number() -> None:
    assert [abi_of(X86_64, 165), abi_of(X86_64, 0x400000A5), abi_of(0x40000003, 21), abi_of(0xC00000B7, 40), abi_of(7, 1)] == [
        Abi.X86_64, Abi.X32, Abi.I386, Abi.AARCH64, None]


def test_names_are_unique_and_every_rule_says_why() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.why for rule in RULES)


def test_every_ask_has_a_handler_and_every_handler_is_asked() -> None:
    assert {rule.action.handler for rule in RULES if isinstance(rule.action, Ask)} == {*HANDLERS, *RULED_HANDLERS}


def test_a_continue_without_kernel_checks_rests_on_registers_alone() -> None:
    bare = [rule for rule in RULES if isinstance(rule.action, Continue) and not rule.action.checks]
    assert [rule.name for rule in bare] == ["mount.invalid", "umount2.invalid"]
    assert all(rule.text is None for rule in bare)


def test_a_call_is_notified_or_of_the_floor() -> None:
    assert not NOTIFIED & FLOOR.keys()
    assert sorted(NOTIFIED) == [
        "clone", "fsconfig", "fsmount", "fsopen", "mount", "mount_setattr", "open_tree", "open_tree_attr", "setns", "sysinfo", "umount",
        "umount2", "unshare"]
    assert FLOOR["syslog"] == 1


def catches_all(rule: Rule) -> bool:
    return rule.text is None and (rule.when is None or rule.when == Masked(0, 0, 0))


@pytest.mark.parametrize("abi", [Abi.X86_64, Abi.I386, Abi.X32, Abi.AARCH64, Abi.ARM])
def test_no_value_of_a_register_is_without_a_rule(abi: Abi) -> None:
    for call in sorted(NOTIFIED):
        if number(abi, call) is not None:
            of_abi = [rule for _, rule in chosen(CallRules()) if rule.call == call and abi in rule.abis]
            assert catches_all(of_abi[-1]), call


def kernels_order(flags: int) -> str:
    """What path_mount() does with the flags, in its words."""
    if flags & 0xFFFF0000 == MGC:
        flags &= 0xFFFF
    if flags & 0xFFFFFFFF80000000:
        return "mount.invalid"
    if flags & (REMOUNT | BIND) == REMOUNT | BIND:
        return "mount.remount_bind"
    if flags & REMOUNT:
        return "mount.remount"
    if flags & BIND:
        return "mount.bind_recursive" if flags & REC else "mount.bind"
    if flags & (SHARED | PRIVATE | SLAVE | UNBINDABLE):
        return "mount.propagation"
    return "mount.move" if flags & MOVE else "mount.new"


def combinations() -> Iterator[int]:
    """Every combination of the flags that decide, with and without MS_MGC_VAL, and bits that are invalid or that it drops."""
    bits = (REMOUNT, BIND, MOVE, REC, RDONLY, SILENT, SHARED, PRIVATE, SLAVE, UNBINDABLE)
    for on in product((False, True), repeat=len(bits)):
        flags = sum(bit for bit, is_set in zip(bits, on, strict=True) if is_set)
        for more in (0, MGC, 1 << 31, 1 << 40, MGC | 1 << 40, MGC | 1 << 63, 0xC0EC0000):
            yield flags | more


def test_flags_of_mount_are_decided_in_the_kernels_order() -> None:
    rows = compiled([Abi.X86_64])
    for flags in combinations():
        row = first_fit(rows, X86_64, 165, (0, 0, 0, flags, 0, 0), {2: b"tmpfs"})
        assert row is not None
        assert RULES[row.rule].name == kernels_order(flags), hex(flags)


@pytest.mark.parametrize(("fstype", "name"), [
    (b"proc", "new_tree"), (b"sysfs", "new_tree"), (b"proc.x", "new"), (b"PROC", "new"), (b"", "new"), (None, "new"),
])  # fmt: skip
def test_a_new_procfs_is_known_by_the_copied_name(fstype: bytes | None, name: str) -> None:
    row = first_fit(compiled([Abi.X86_64]), X86_64, 165, (0, 0, 0, SILENT, 0, 0), {} if fstype is None else {2: fstype})
    assert row is not None
    assert RULES[row.rule].name == f"mount.{name}"
    assert (row.action is RowAction.MOUNT) == (name == "new_tree")


@pytest.mark.parametrize(("flags", "name"), [
    (0, "tree"), (1, "tree"), (4, "tree"), (8, "tree"), (2, "detach"), (3, "detach"), (0x10, "invalid"), (0x12, "detach"),
    (0xFFFFFFFF00000002, "detach"), (0xFFFFFFFF00000000, "tree"),
])  # fmt: skip
def test_flags_of_umount2_count_in_their_low_word(flags: int, name: str) -> None:
    row = first_fit(compiled([Abi.X86_64]), X86_64, 166, (0, flags, 0, 0, 0, 0), {})
    assert row is not None
    assert RULES[row.rule].name == f"umount2.{name}"


def test_x32_is_answered_enosys_but_for_sysinfo() -> None:
    """Its struct is the one of 64 bits."""
    rows = [row for row in compiled([Abi.X32]) if row.nr != 0x40000000 | 99]
    assert len(rows) == len(compiled([Abi.X32])) - 1
    assert {(row.action, row.errno) for row in rows} == {(RowAction.ERRNO, 38)}
    numbers = {0x40000000 | nr for nr in (56, 165, 166, 272, 308, 428, 430, 431, 432, 442)}
    assert {row.nr for row in rows} >= numbers
    assert {row.nr for row in rows} - numbers <= {0x40000000 | 467}
