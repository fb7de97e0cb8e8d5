"""Processes that are known by pid and start time: a pid alone is somebody else's as soon as its process has been reaped."""
import os
import select
import signal
from dataclasses import dataclass

from eci_supervisor.linux.fds import OwnedFd


@dataclass(frozen=True, slots=True)
class Stat:
    """What we read of /proc/PID/stat: `state` is its letter, `start` is in clock ticks since boot (field 22)."""

    state: str
    start: int


def parse_stat(text: bytes) -> Stat:
    """The line of /proc/PID/stat. The second field is the program's own choice and may hold anything, parentheses too. Source: proc(5)."""
    fields = text[text.rindex(b")") + 2:].split()
    return Stat(fields[0].decode(), int(fields[19]))


def stat(pid: int) -> Stat | None:
    """None: no such process. A zombie is one still: its state is Z."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return parse_stat(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid: int) -> int:
    """Clock ticks since boot. Raises ProcessLookupError, with the pid."""
    found = stat(pid)
    if found is None:
        raise ProcessLookupError(f"no process {pid}")
    return found.start


def is_alive(pid: int, start: int) -> bool:
    """Whether that very process runs; a zombie does not, and no process is older than the boot (pid or start 0)."""
    found = stat(pid) if pid > 0 and start > 0 else None
    return found is not None and found.start == start and found.state not in ("Z", "X")


def open_process(pid: int, start: int) -> OwnedFd | None:
    """A pidfd of that very process, or None if it is gone. The check comes after the open: then the pid is pinned."""
    try:
        pidfd = OwnedFd(os.pidfd_open(pid))
    except ProcessLookupError:
        return None
    found = stat(pid)
    if found is None or found.start != start:
        pidfd.close()
        return None
    return pidfd


def end_process(pid: int, start: int, patience_s: float) -> None:
    """SIGTERM, and SIGKILL once `patience_s` has passed; returns when it has exited. Nothing is done if it is gone."""
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
