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

KEPT_S = 1.0
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
    """What came of a call that may come again, for KEPT_S.

    It succeeded, but its answer came too late: without this the second umount would find nothing to umount. Or it was a mount whose
    answer was sent: that succeeds for one that a signal has woken too, and nobody can tell (native/lane.c).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Repeat, tuple[float, int, Result]] = {}
        self._under_way: dict[tuple[int, int], trio.Event] = {}  # by listener and thread

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
        now = self._clock()
        self._until = {key: value for key, value in self._until.items() if value[0] > now}
        if len(self._until) < KEPT_LIMIT:
            self._until[repeat] = now + KEPT_S, repeat.id, result

    def take(self, notify_fd: int, call: Call, repeat: Repeat | None) -> Result | None:
        """What is known if this is the thread's last call again; said once. What it was interrupted in before, and is not this, it will
        not make again (it saw EINTR). An older call than what is known of is dead: those that have to wait come in any order."""
        known = {key: value for key, value in self._until.items() if (key.listener, key.tid) == (notify_fd, call.tid)}
        if any(number > call.id for _, number, _ in known.values()):
            return None
        self._until = {key: value for key, value in self._until.items() if key not in known}
        until, _, result = known.get(repeat, (0.0, 0, None)) if repeat else (0.0, 0, None)
        return result if until > self._clock() else None


def repeat_of(notify_fd: int, call: Call) -> Repeat | None:
    """None if the thread is gone: nothing of it will come again."""
    start = start_time(call.tid)
    return None if start is None else Repeat(notify_fd, call.tid, start, call.arch, call.nr, call.args, call.ip, call.id)
