"""Tasks of a container, from the lists of its cgroup and of those below it."""
from pathlib import Path

import pytest

from eci_supervisor.cgroup import tasks
from eci_supervisor.cgroup.parse import Place
from eci_supervisor.cgroup.reader import Group
from tests.support.machine import Machine


@pytest.fixture(autouse=True)
def leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is that tests run on."""
    monkeypatch.setattr(tasks, "BUDGET_NS", 60_000_000_000)


def group(top: Path, version: int = 1) -> Group:
    """c/ has three tasks, c/inner/deep two more; beside it there is one that is none of its."""
    made, name = Machine(top), "tasks" if version == 1 else "cgroup.threads"
    for path, tids in {"c": "10\n11\n12\n", "c/inner": "", "c/inner/deep": "20\n21\n", "other": "30\n"}.items():
        made.cgroup(path, {name: tids})
    for tid, state in {10: "R", 11: "S", 12: "D", 20: "R", 30: "R"}.items():  # 21 has just ended
        made.task(tid, state, tid - 9)
    return Group(Place(version, f"{top}/c".encode(), str(top).encode()))


@pytest.mark.parametrize("version", [1, 2])
def test_those_below_count_and_those_beside_do_not(tmp_path: Path, version: int) -> None:
    found = group(tmp_path, version)
    try:
        assert tasks.count(found, str(tmp_path / "proc"), None) == tasks.Tasks(running=2, blocked=1, total=5, newest=21)
        assert sorted(tasks.tids(found)) == [10, 11, 12, 20, 21]
    finally:
        found.close()


def test_of_many_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine(tmp_path)
    made.cgroup("c", {"tasks": "".join(f"{tid}\n" for tid in range(1, 101))})
    for tid in range(1, 101):
        made.task(tid, "R" if tid > 50 else "S", tid)
    monkeypatch.setattr(tasks, "MOST", 10)
    found = Group(Place(1, f"{tmp_path}/c".encode(), str(tmp_path).encode()))
    try:
        assert tasks.count(found, str(tmp_path / "proc"), 200) == tasks.Tasks(running=100, blocked=0, total=200, newest=100)
    finally:
        found.close()


def test_names_of_a_thread_in_each_namespace(tmp_path: Path) -> None:
    made = Machine(tmp_path)
    made.task(10, "S", 3)
    assert tasks.pids_of(10, str(tmp_path / "proc")) == (10, 3)
    assert tasks.pids_of(11, str(tmp_path / "proc")) == ()
