"""A thread for one piece of work that would block the loop.

trio.to_thread keeps its threads for the next time, and what it runs through costs a forked process 0.7 MiB of memory of its own.
"""
import _thread
import os
from collections.abc import Callable
from typing import TypeVar

import outcome
import trio

from eci_supervisor.linux.fds import OwnedFd

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises. A thread whose waiter is cancelled goes on by itself, and nobody hears of it."""
    done = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
    number = done.fileno()
    results: list[outcome.Outcome[T]] = []

    def run() -> None:
        results.append(outcome.capture(work))
        os.eventfd_write(number, 1)

    _thread.start_new_thread(run, ())
    try:
        await trio.lowlevel.wait_readable(number)
    except trio.Cancelled:
        done.steal()  # the thread will write to that number: it must stay ours
        raise
    done.close()
    return results[0].unwrap()
