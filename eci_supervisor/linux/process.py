"""Processes known by pid and start time: a pid alone is soon somebody else's."""
import os
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


def pids() -> Iterator[int]:
    """Every process of our pid namespace."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)
