"""Processes known by pid and start time."""
import os
import signal

import pytest

from eci_supervisor.linux import process


def test_a_program_may_call_itself_anything() -> None:
    line = b"12 (a) R 1 (b ) S " + b" ".join(b"%d" % n for n in range(4, 53)) + b"\n"
    assert process.parse_start_time(line) == 22


def test_we_are_alive_under_our_own_start_time_only() -> None:
    start = process.start_time(os.getpid())
    assert start is not None
    assert process.alive(os.getpid(), start)
    assert not process.alive(os.getpid(), start + 1)
    assert not process.alive(0, 0)


def test_another_process_under_that_pid_is_not_opened() -> None:
    start = process.start_time(os.getpid())
    assert start is not None
    assert process.open_process(os.getpid(), start + 1) is None


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_process_is_ended_and_a_zombie_is_not_alive(stubborn: bool) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(write, b"x")
        while True:
            signal.pause()
    assert os.read(read, 1) == b"x"
    os.close(read)
    os.close(write)
    start = process.start_time(pid)
    assert start is not None
    process.end_process(pid, start, 0.1)
    assert not process.alive(pid, start)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -(signal.SIGKILL if stubborn else signal.SIGTERM)
    assert process.start_time(pid) is None


def test_waiting_for_an_exit() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    start = process.start_time(pid)
    assert start is not None
    assert not process.exits(pid, start, 0.01)
    os.kill(pid, signal.SIGKILL)
    assert process.exits(pid, start, 5)
    os.waitpid(pid, 0)
    assert process.exits(pid, start, 5)
