"""Processes known by pid and start time: a pid alone is soon somebody else's."""
import os
import select
import signal
from collections.abc import Iterator

from eci_supervisor.linux.fds import OwnedFd


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; None if there is no such process, or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return parse_start_time(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def parse_start_time(stat: bytes) -> int | None:
    """Field 22 of /proc/PID/stat; None for a zombie or a dead task.

    Field 2, the name, is the process's own choice, with blanks and parentheses: what counts is behind the last `)`.
    Raises ValueError for any other shape. Source: fs/proc/array.c.
    """
    fields = stat[stat.rindex(b")") + 1 :].split()
    if len(fields) < 20:
        raise ValueError("/proc/PID/stat is too short")
    return None if fields[0] in (b"Z", b"X", b"x") else int(fields[19])


def alive(pid: int, start: int) -> bool:
    """Whether the process of that pid and start time is still there."""
    return pid > 0 and start_time(pid) == start


def pidfd_open(pid: int) -> OwnedFd:
    """A pidfd, close-on-exec; raises ProcessLookupError when there is none."""
    return OwnedFd(os.pidfd_open(pid))


def open_process(pid: int, start: int) -> OwnedFd | None:
    """A pidfd of the process of that pid and start time, None if it is gone. The look comes after the open: then the pid is pinned."""
    if pid <= 0:
        return None
    try:
        pidfd = pidfd_open(pid)
    except ProcessLookupError:
        return None
    if not alive(pid, start):
        pidfd.close()
        return None
    return pidfd


def exits(pid: int, start: int, patience_s: float) -> bool:
    """Whether a process that is on its way out has gone within `patience_s`; at once if there is no such process."""
    pidfd = open_process(pid, start)
    if pidfd is None:
        return True
    with pidfd:
        poll = select.poll()
        poll.register(pidfd.fileno(), select.POLLIN)
        return bool(poll.poll(patience_s * 1000))


def end_process(pid: int, start: int, patience_s: float) -> None:
    """SIGTERM, and SIGKILL once `patience_s` has passed; returns when it has exited, at once if there is no such process."""
    pidfd = open_process(pid, start)
    if pidfd is None:
        return
    with pidfd:
        poll = select.poll()
        poll.register(pidfd.fileno(), select.POLLIN)
        for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 10.0)):
            try:
                signal.pidfd_send_signal(pidfd.fileno(), number)
            except ProcessLookupError:
                return
            if poll.poll(wait_s * 1000):
                return


def pids() -> Iterator[int]:
    """Every process of our pid namespace."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)
