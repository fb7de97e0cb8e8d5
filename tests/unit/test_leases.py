"""Leases, with real processes as their owners."""
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.idmap.leases import Leases, PoolExhausted, populated
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.model.ids import RANGE_SIZE, IdRange

# Ids that nobody on the host has: a range that some process is mapped to is never free.
FIRST, SECOND, THIRD = (2_000_000_000 + number * RANGE_SIZE for number in range(3))


class Somebody:
    """A process that does nothing until it is ended."""

    def __init__(self) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                signal.pause()
        self.start = start_time(self.pid) or 0

    def end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


@pytest.fixture
def somebody() -> Iterator[Somebody]:
    one = Somebody()
    yield one
    one.end()


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return made(tmp_path, f"eci:{FIRST}:{300 * RANGE_SIZE}\n")


def made(directory: Path, line: str) -> Leases:
    for name in ("subuid", "subgid"):
        (directory / name).write_text(line)
    return Leases(StateDir(str(directory / "run")), str(directory / "subuid"), str(directory / "subgid"))


def take(leases: Leases, key: str, owner: Somebody | None = None) -> IdRange:
    pid, start = (owner.pid, owner.start) if owner else (os.getpid(), start_time(os.getpid()) or 0)
    return leases.take(key, creator_pid=pid, creator_start=start)


def test_first_come_first_served_and_what_is_released_is_given_again(leases: Leases) -> None:
    assert [take(leases, key).start for key in "abc"] == [FIRST, SECOND, THIRD]
    assert leases.release("b")
    assert take(leases, "d").start == SECOND
    assert [lease.key for lease in leases.listing()] == ["a", "d", "c"]


def test_releasing_what_is_not_there_is_no_failure(leases: Leases) -> None:
    assert leases.release("nobody")


def test_a_creator_that_was_killed_loses_its_lease(leases: Leases, somebody: Somebody) -> None:
    take(leases, "a", somebody)
    assert leases.reclaim() == ()
    somebody.end()
    assert leases.reclaim() == ("a",)
    assert leases.listing() == ()


def test_a_pid_that_is_somebody_elses_now_holds_nothing(leases: Leases, somebody: Somebody) -> None:
    leases.take("a", creator_pid=somebody.pid, creator_start=somebody.start + 1)
    assert leases.reclaim() == ("a",)


def test_a_running_container_keeps_its_range_whatever_else_dies(leases: Leases, somebody: Somebody) -> None:
    creator = Somebody()
    take(leases, "a", creator)
    leases.record_init("a", somebody.pid, somebody.start, ())
    creator.end()
    assert leases.reclaim() == ()
    assert not leases.release("a")
    somebody.end()
    assert leases.release("a")


def test_a_populated_cgroup_keeps_it_too(leases: Leases, somebody: Somebody, tmp_path: Path) -> None:
    cgroup = tmp_path / "cgroup"
    (cgroup / "inner").mkdir(parents=True)
    (cgroup / "cgroup.procs").write_text("")
    (cgroup / "inner" / "cgroup.procs").write_text("123\n")
    take(leases, "a")
    leases.record_init("a", somebody.pid, somebody.start, (str(cgroup),))
    somebody.end()
    assert leases.reclaim() == ()
    (cgroup / "inner" / "cgroup.procs").write_text("")
    assert leases.reclaim() == ("a",)


def test_cgroup_v2_says_itself_whether_it_is_populated(tmp_path: Path) -> None:
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert populated(str(tmp_path))
    (tmp_path / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert not populated(str(tmp_path))
    assert not populated(str(tmp_path / "gone"))


def test_members_hold_the_range_with_its_first_owner(leases: Leases, somebody: Somebody) -> None:
    ids = take(leases, "pause", somebody)
    mine = start_time(os.getpid()) or 0
    assert leases.join(ids.start, "member", creator_pid=os.getpid(), creator_start=mine) == ids
    somebody.end()
    assert leases.reclaim() == ("pause",)
    assert take(leases, "other").start != ids.start
    assert leases.release("member")
    assert take(leases, "another") == ids


def test_nobody_joins_a_range_that_is_not_leased(leases: Leases) -> None:
    with pytest.raises(KeyError):
        leases.join(FIRST, "member", creator_pid=1, creator_start=1)


def test_a_container_that_is_there_does_not_get_a_second_lease(leases: Leases, somebody: Somebody) -> None:
    take(leases, "a", somebody)
    with pytest.raises(FileExistsError):
        take(leases, "a")
    somebody.end()
    assert take(leases, "a").start == FIRST
    assert len(leases.listing()) == 1


def test_a_range_of_the_specs_own_is_recorded(leases: Leases) -> None:
    leases.hold(IdRange(5_000_000, 70_000), "own", creator_pid=os.getpid(), creator_start=start_time(os.getpid()) or 0)
    assert [lease.ids for lease in leases.listing()] == [IdRange(5_000_000, 70_000)]


def test_the_pool_is_empty(tmp_path: Path, somebody: Somebody) -> None:
    leases = made(tmp_path, f"eci:{FIRST}:{2 * RANGE_SIZE}\n")
    take(leases, "a", somebody)
    take(leases, "b")
    with pytest.raises(PoolExhausted) as refusal:
        take(leases, "c")
    assert str(refusal.value) == ('no free id range: 2 of 2 leases of 2000000000-2000131071 are taken. '
                                  'Remove containers, or widen the line "eci:" in /etc/subuid.')
    somebody.end()
    assert take(leases, "c").start == FIRST, "what nobody uses any more is found when it is needed"


def test_a_pool_that_the_files_do_not_agree_on(tmp_path: Path) -> None:
    leases = made(tmp_path, "eci:200000:65536\n")
    (tmp_path / "subgid").write_text("eci:900000:65536\n")
    with pytest.raises(PoolExhausted, match="no ids in common"):
        take(leases, "a")


def test_what_a_crash_left_half_written_counts_for_nothing(leases: Leases, tmp_path: Path) -> None:
    take(leases, "a")
    records = tmp_path / "run" / "leases"
    (records / f"{SECOND}.b.new").write_text("{")
    (records / f"{THIRD}.c").write_text("{")
    assert take(leases, "d").start == SECOND
    assert not (records / f"{SECOND}.b.new").exists()
    assert leases.reclaim() == ("c",)


def test_two_hundred_containers(leases: Leases) -> None:
    begin = time.monotonic()
    found = {take(leases, f"key{number}").start for number in range(200)}
    spent_s = time.monotonic() - begin
    assert len(found) == 200
    assert spent_s / 200 < 0.01, "a lease costs a small part of a container"


def test_many_at_once_get_a_range_each(leases: Leases) -> None:
    pids = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for step in range(8):
                    take(leases, f"{number}-{step}")
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 8
    assert len({lease.ids.start for lease in leases.listing()}) == 64
