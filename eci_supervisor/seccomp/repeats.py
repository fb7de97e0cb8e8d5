"""The same call twice: a signal voids a notification, and the kernel issues the call again under another id.

That happens where the runtime cannot set WAIT_KILLABLE_RECV (Debian 12's cannot), and to Go programs all the time: SIGURG preempts them.
"""
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from eci_supervisor.linux.process import start_time
from eci_supervisor.model.notification import Call

KEPT_NS = 1_000_000_000
KEPT_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a call that a signal took away has in common with the same call when it comes again, under another id: a higher one."""

    listener: int
    tid: int
    start: int
    arch: int
    nr: int
    args: tuple[int, ...]
    ip: int
    id: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What the call before has come to. after: the ring's last event then; made: the mount it made, 0 if all is said by its success."""

    after: int
    made: int = 0


class Kept:
    """What came of a thread's last call that may come again, for a second: until that is received, however long it waits after that.

    It succeeded, but its answer came too late: without this the second umount would find nothing to umount. Or it was a mount whose
    answer was sent: that succeeds for one that a signal has woken too, and nobody can tell (native/lane.c).
    """

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """clock_ns: CLOCK_MONOTONIC, as a call's received_ns."""
        self._clock_ns = clock_ns
        self._known: dict[tuple[int, int], tuple[int, Repeat, Result]] = {}  # by listener and thread; until when
        self._under_way: dict[tuple[int, int], trio.Event] = {}

    @asynccontextmanager
    async def in_turn(self, notify_fd: int, call: Call) -> AsyncIterator[None]:
        """Holds back what a thread calls while the call before, which a signal took away, is still being carried out, or undone."""
        thread = notify_fd, call.tid
        while thread in self._under_way:
            await self._under_way[thread].wait()
        over = self._under_way[thread] = trio.Event()
        try:
            yield
        finally:
            del self._under_way[thread]
            over.set()

    def keep(self, repeat: Repeat, result: Result) -> None:
        """Not of an older call than what is known of: it is dead. Of too many threads the one that was known of first is forgotten."""
        thread = repeat.listener, repeat.tid
        _, known, _ = self._known.get(thread, (0, repeat, result))
        if known.id > repeat.id:
            return
        self._known.pop(thread, None)
        if len(self._known) == KEPT_LIMIT:
            del self._known[next(iter(self._known))]
        self._known[thread] = self._clock_ns() + KEPT_NS, repeat, result

    def take(self, notify_fd: int, call: Call, repeat: Repeat | None) -> Result | None:
        """What is known if this is the thread's last call again; said once. What it was interrupted in before, and is not this, it will
        not make again (it saw EINTR). An older call than what is known of is dead: those that have to wait come in any order."""
        until, known, result = self._known.get((notify_fd, call.tid), (0, None, None))
        if known is None or known.id > call.id:
            return None
        del self._known[notify_fd, call.tid]
        return result if known == repeat and call.received_ns < until else None


def repeat_of(notify_fd: int, call: Call) -> Repeat | None:
    """None if the thread is gone: nothing of it will come again."""
    start = start_time(call.tid)
    return None if start is None else Repeat(notify_fd, call.tid, start, call.arch, call.nr, call.args, call.ip, call.id)
