"""What rules for sources and targets say of a chain of directories."""
import pytest

from eci_supervisor.model.listed import NOTHING_LISTED, Identity, Listed, is_source, is_target

KEYS, ABOVE_KEYS, MOUNT_POINT, ROOT = (8, 2), (8, 3), (8, 4), (8, 5)
LISTED = Listed(frozenset({KEYS}), frozenset({ABOVE_KEYS}), frozenset({MOUNT_POINT}))


@pytest.mark.parametrize(("chain", "source", "target"), [
    ([KEYS], True, False), ([(8, 9), KEYS, ROOT], True, False), ([ABOVE_KEYS, ROOT], True, False), ([(8, 9), ABOVE_KEYS], False, False),
    ([(8, 9), ROOT], False, False), ([MOUNT_POINT], False, True), ([(8, 9), MOUNT_POINT], False, True), ([(9, 2)], False, False),
    ([], False, False),
])  # fmt: skip
def test_rules_look_upwards(chain: list[Identity], source: bool, target: bool) -> None:
    assert (is_source(chain, LISTED), is_target(chain, LISTED)) == (source, target)
    assert not is_source(chain, NOTHING_LISTED)
    assert not is_target(chain, NOTHING_LISTED)
