"""Fixtures of the tests that need a kernel and root, and no container."""
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from eci_supervisor.seccomp.ring import EventRing
from tests.kernel.ground import Ground, made_ground

NUMBERS = count()


@pytest.fixture
def ground() -> Iterator[Ground]:
    """Not below pytest's own directory: that is closed to container root."""
    with made_ground(Path(f"/var/tmp/eci-ground-{os.getpid()}-{next(NUMBERS)}")) as made:
        yield made


@pytest.fixture
def ring() -> Iterator[EventRing]:
    made = EventRing()
    yield made
    made.close()


@pytest.fixture
def base() -> Iterator[Path]:
    """An empty directory with a short name."""
    with tempfile.TemporaryDirectory(prefix="eci-", dir="/tmp") as directory:
        yield Path(directory)
