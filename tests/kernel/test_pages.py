"""Pages that forked processes give back: the content stays, the memory falls."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs.shared_pages import RESTORED

REPOSITORY = Path(__file__).parents[2]
REFUSED = """
import threading, time
from eci_supervisor.linux.pages import SharedPages
threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
try:
    SharedPages()
except OSError as error:
    print(error)
"""


def python(*words: str) -> str:
    return subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture(scope="module")
def told() -> dict[str, int]:
    found: dict[str, int] = json.loads(python("-m", "tests.programs.shared_pages"))
    return found


def test_what_was_written_stays(told: dict[str, int]) -> None:
    assert told["same"]
    assert abs(told["objects"]) < 100  # every object of Python's is still to be looked at


def test_what_was_undone_is_given_back(told: dict[str, int]) -> None:
    assert told["given"] >= RESTORED
    assert told["fell_kib"] >= 3 * RESTORED  # 4 KiB each, less what looking at it takes


def test_nothing_while_a_thread_may_write(told: dict[str, int]) -> None:
    assert told["with_a_thread"] == 0


def test_again_and_again_and_in_a_fork_of_a_fork(told: dict[str, int]) -> None:
    assert 0 < told["again"] < told["given"]
    assert told["grandchild"]


def test_heaps_are_not_moved_under_a_thread() -> None:
    assert "could write" in python("-c", REFUSED)
