"""What serving threads mount by themselves under an admin's rules."""
import pytest

from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.native import lib
from eci_supervisor.seccomp.usual import MOST, NOTHING, As, Mounting, Usual, may, usual

PROC, TMPFS, BIND, ALL = Mounting.NEW_PROC, Mounting.NEW_TMPFS, Mounting.BIND, Mounting.BIND_ALL
DENY, ALLOW = MountTypes(types=("tmpfs", "nfs")), MountTypes(allow=True, types=("tmpfs",))


@pytest.mark.parametrize(("rules", "left"), [
    (NO_RULES, {TMPFS}),
    (CallRules(mount_types=MountTypes(types=("nfs",))), set()),
    (CallRules(mount_types=DENY), {TMPFS}),
    (CallRules(mount_types=ALLOW), {PROC}),
    (CallRules(mount_sources=("/srv",)), {ALL}),
    (CallRules(mount_targets=("volume:/srv",)), set()),
    (CallRules(mount_targets=("volume:/srv",), mount_types=DENY), {TMPFS}),
    (CallRules(nested_depth=2, mknod=True), {TMPFS}),
], ids=str)
def test_what_is_left_to_others(rules: CallRules, left: set[Mounting]) -> None:
    assert may(rules) == set(Mounting) - left


def test_what_is_listed() -> None:
    listed = Listed(sources=frozenset({(1, 2), (3, 4)}), above=frozenset({(3, 4)}), targets=frozenset({(1, 2), (5, 6)}))
    rules = CallRules(mount_sources=("/srv",), mount_targets=("volume:/srv",))
    assert usual(rules, listed) == Usual(may(rules), As.SOURCE | As.TARGET, (
        ((1, 2), As.SOURCE | As.TARGET), ((3, 4), As.SOURCE | As.ABOVE_SOURCE), ((5, 6), As.TARGET)))


def test_a_rule_that_lists_nothing_here() -> None:
    assert usual(CallRules(mount_targets=("volume:/srv",)), NOTHING_LISTED).judged == As.TARGET


def test_too_much_is_listed() -> None:
    """Then Python decides all: nothing of the list may be left out."""
    assert lib.ECI_LISTED == MOST
    many = Listed(sources=frozenset((1, inode) for inode in range(MOST)))
    assert len(usual(CallRules(mount_sources=("/srv",)), many).listed) == MOST
    assert usual(CallRules(mount_sources=("/srv",)), Listed(many.sources | {(2, 1)})) == NOTHING
