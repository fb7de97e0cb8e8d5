"""A thread for one piece of work that would block the loop.

trio.to_thread keeps its threads for the next time, and what it runs through costs a forked process 0.7 MiB of memory of its own.

The thread has a file table of its own, with nothing of ours in it. For it may ask a FUSE server that we are: were /dev/fuse open in it
too, then a process killed meanwhile could never end, its thread waiting for a connection that is only given up once it has ended.
"""
import _thread
import os
from collections.abc import Callable
from typing import TypeVar

import outcome
import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.namespaces import unshare

CLONE_FILES = 0x400
FIRST_FD, LAST_FD = 3, 0x7FFFFFFF
T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises. A thread whose waiter is cancelled goes on by itself, and nobody hears of it."""
    done = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
    number = done.fileno()
    results: list[outcome.Outcome[T]] = []

    def alone() -> T:
        unshare(CLONE_FILES)
        os.closerange(FIRST_FD, number)
        os.closerange(number + 1, LAST_FD)
        return work()

    def run() -> None:
        results.append(outcome.capture(alone))
        os.eventfd_write(number, 1)

    _thread.start_new_thread(run, ())
    try:
        await trio.lowlevel.wait_readable(number)
    except trio.Cancelled:
        done.steal()  # the thread will write to that number: it must stay ours
        raise
    done.close()
    return results[0].unwrap()
