"""Line 58 of the contract: what mount(2) does of each combination of flags is what it does in a plain user namespace."""
import json
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.lines import PYTHON, machine, said
from tests.support.driver import REPOSITORY
from tests.support.plain import COMMAND

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
COMBINATIONS = 2560  # of 2 ** 12: two of the flags are part of MS_MGC_VAL


@pytest.fixture(scope="module")
def kernels() -> dict[str, list[str]]:
    """Without a filter, and without us."""
    done = subprocess.run([*COMMAND, *PYTHON, "flags"], cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    told: dict[str, list[str]] = json.loads(done.stdout)["line_58"]
    assert len(told) == COMBINATIONS
    return told


def test_58_every_combination_of_flags(containers: Launch, closed: Path, kernels: dict[str, list[str]]) -> None:
    ours = said(machine(containers, closed), "flags")["line_58"]
    assert {flags: (ours[flags], kernel) for flags, kernel in kernels.items() if ours[flags] != kernel} == {}
