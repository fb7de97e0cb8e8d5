"""How many tasks of a container run or wait for a disk: a look at its cgroup and those below it, bounded in number and in time.

Some facts: version 1 lists threads in `tasks`, version 2 in `cgroup.threads`; a cgroup's list leaves those below it out. A thread's own
stat is /proc/TID/task/TID/stat: /proc/TID/stat adds up its whole process first.
"""
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eci_supervisor.cgroup.reader import READ_LIMIT_BYTES, Group, read_text

MOST: Final = 2000
BUDGET_NS: Final = 10_000_000  # for finding them, and again for looking at them: our caller's loop serves others too
LEAF_LINKS: Final = 2  # links of a directory without directories in it


@dataclass(frozen=True, slots=True)
class Tasks:
    """running, blocked: in state R and D, scaled up from those looked at; newest: highest thread id, 0 without any."""

    running: int
    blocked: int
    total: int
    newest: int


def count(group: Group, proc: str, known_total: int | None) -> Tasks:
    """`known_total`: what pids.current says; None where it says nothing."""
    found = tids(group)
    chosen = found[:: -(-len(found) // MOST) or 1]
    states = list(states_of(chosen, proc))
    total = len(found) if known_total is None else known_total
    scale = max(total, len(states)) / max(1, len(states))
    running, blocked = (round(states.count(state) * scale) for state in (b"R", b"D"))
    return Tasks(running, blocked, total, max(found, default=0))


def tids(group: Group) -> list[int]:
    """Thread ids of the container's cgroup and all below it, as many as are found in time."""
    top, name = group.levels[0].fileno(), b"cgroup.threads" if group.version == 2 else b"tasks"
    until, found, pending = time.monotonic_ns() + BUDGET_NS, list[int](), [b"."]
    while pending and time.monotonic_ns() < until:
        path = pending.pop()
        try:
            text = read_text(path + b"/" + name, dir_fd=top)
            found.extend(map(int, text[: text.rfind(b"\n") + 1].split() if len(text) >= READ_LIMIT_BYTES else text.split()))
            pending.extend(path + b"/" + below for below in directories(path, top))
        except OSError:  # removed meanwhile
            continue
    return found


def directories(path: bytes, dir_fd: int) -> list[bytes]:
    """Names of the directories in one; those without any are not read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        if os.fstat(fd).st_nlink == LEAF_LINKS:
            return []
        with os.scandir(fd) as entries:
            return [os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
    finally:
        os.close(fd)


def states_of(tids_: list[int], proc: str) -> Iterator[bytes]:
    """The letter of each that is still there, as many as can be asked in time."""
    until = time.monotonic_ns() + BUDGET_NS
    for tid in tids_:
        try:
            stat = read_text(f"{proc}/{tid}/task/{tid}/stat")
        except OSError:
            continue
        at = stat.rfind(b")") + 2  # a name may hold anything
        yield stat[at : at + 1]
        if time.monotonic_ns() >= until:
            return


def pids_of(tid: int, proc: str) -> tuple[int, ...]:
    """What a thread is called in each pid namespace it is in, the reader's first; none if it is gone."""
    try:
        status = read_text(f"{proc}/{tid}/status")
    except OSError:
        return ()
    line = next((line for line in status.splitlines() if line.startswith(b"NSpid:")), b"")
    return tuple(map(int, line.split()[1:]))
