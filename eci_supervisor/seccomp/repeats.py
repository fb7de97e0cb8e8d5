"""The same call twice: a signal voids a notification, and the kernel issues the call again under another id.

That happens where the runtime cannot set WAIT_KILLABLE_RECV (Debian 12's cannot), and to Go programs all the time: SIGURG preempts them.
"""
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from eci_supervisor.linux.process import start_time
from eci_supervisor.model.notification import Call

KEPT_S = 1.0
KEPT_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a call that a signal took away has in common with the same call when it comes again, under another id."""

    listener: int
    tid: int
    start: int
    arch: int
    nr: int
    args: tuple[int, ...]
    ip: int


class Kept:
    """Calls that succeeded but whose answer came too late, for KEPT_S.

    Without it the second umount would find nothing to umount.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Repeat, tuple[float, int]] = {}
        self._under_way: dict[Repeat, trio.Event] = {}
        self._left: set[Repeat] = set()  # of those under way

    @asynccontextmanager
    async def in_turn(self, repeat: Repeat | None) -> AsyncIterator[None]:
        """Holds back a call that comes again while it is still being carried out under the id it had before."""
        while repeat in self._under_way:
            await self._under_way[repeat].wait()
        over = trio.Event()
        if repeat:
            self._under_way[repeat] = over
        try:
            yield
        finally:
            if repeat:
                del self._under_way[repeat]
                self._left.discard(repeat)
            over.set()

    def moved_on(self, notify_fd: int, call: Call, repeat: Repeat | None) -> None:
        """A thread makes `call`: what it was interrupted in before, and is not this, it will not make again (it saw EINTR)."""
        def before(other: Repeat) -> bool:
            return (other.listener, other.tid) == (notify_fd, call.tid) and other != repeat

        self._until = {key: until for key, until in self._until.items() if not before(key)}
        self._left |= {key for key in self._under_way if before(key)}

    def keep(self, repeat: Repeat, after: int) -> None:
        """after: the number of the last event before the call was carried out."""
        now = self._clock()
        self._until = {key: value for key, value in self._until.items() if value[0] > now}
        if len(self._until) < KEPT_LIMIT and repeat not in self._left:
            self._until[repeat] = now + KEPT_S, after

    def take(self, repeat: Repeat) -> int | None:
        """Whether the call has been done already, and then `after`; said once."""
        until, after = self._until.pop(repeat, (0.0, 0))
        return after if until > self._clock() else None


def repeat_of(notify_fd: int, call: Call) -> Repeat | None:
    """None if the thread is gone: nothing of it will come again."""
    start = start_time(call.tid)
    return None if start is None else Repeat(notify_fd, call.tid, start, call.arch, call.nr, call.args, call.ip)
