"""What processes cost in processor time, in nanoseconds as the scheduler counts it."""
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def spent_s(pids: Iterable[int]) -> float:
    """Of all threads of these processes, those that have ended too, since each began."""
    return sum(time.clock_gettime(clock(pid)) for pid in pids)


def clock(pid: int) -> int:
    """clock_getcpuclockid(3): the number of a process' own clock."""
    return ~pid << 3 | 2


def share(pids: Iterable[int], during: Callable[[], object]) -> float:
    """Of one processor, while `during` runs: 0.05 is five per cent."""
    watched = list(pids)
    before, began = spent_s(watched), time.monotonic()
    during()
    return (spent_s(watched) - before) / (time.monotonic() - began)


def with_children(pids: Iterable[int]) -> list[int]:
    """These processes and what they have started: a supervisor and its mounter."""
    found, pending = [], list(pids)
    while pending:
        found.append(pending.pop())
        for task in os.scandir(f"/proc/{found[-1]}/task"):
            pending += [int(child) for child in Path(task.path, "children").read_text().split()]
    return found
