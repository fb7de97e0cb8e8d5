"""What fills the holes of CPython's pools takes the blocks it is meant for."""
import sys

import pytest

from eci_supervisor.forkserver import plug


@pytest.mark.parametrize("size", range(16, 513, 16))
def test_an_object_of_each_block_size(size: int) -> None:
    assert size - 16 < sys.getsizeof(plug._of_size(size)) <= size


def test_few_holes_are_left() -> None:
    """What is allocated while they are filled makes some new ones, one pool of each size at most."""
    before = sum(free for _, free in plug._free_blocks())
    kept = plug.plugs()
    after = sum(size * free for size, free in plug._free_blocks())
    assert len(kept) == pytest.approx(before, rel=0.2)
    assert after < 32 * 16384
