"""The events of one container: every vetted call, from the ring that its serving threads write, and the turns of its life, from us.

`eci events` reads both; denials by policy, emulations, failures and the turns of life go to the audit file as well.
"""
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import trio

from eci_supervisor.model.event import Event
from eci_supervisor.observe.audit import AuditFile
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.ring import EventRing, RawEvent

LIVES_KEPT = 256
TOLD_KEPT = 256  # more than come between two wake-ups of audit_calls


@dataclass(frozen=True, slots=True)
class Life:
    """A turn of the container's life; `after` is the number of the vetted call before it."""

    after: int
    event: Event


class Journal:
    """The one place where a container's events come together."""

    def __init__(self, container: str, root: str, ring: EventRing, audit: AuditFile) -> None:
        self._container, self._root, self._ring, self._audit = container, root, ring, audit
        self._lives: deque[Life] = deque(maxlen=LIVES_KEPT)
        self._told: deque[str] = deque(maxlen=TOLD_KEPT)
        self._moved = trio.Event()

    def record(self, call: str, why: str, args: Mapping[str, str] | None = None, *, pid: int = 0, uid: int | None = None,
               verdict: str = "info") -> None:
        """Notes a turn of the container's life ("start", "tunable_not_effective", "end"), or, with verdict "fail", a failure of ours."""
        event = Event(id=secrets.token_hex(8), time=time.time(), container=self._container, root=self._root, pid=pid, tid=pid, uid=uid,
                      call=call, abi="", args=dict(args or {}), verdict=verdict, errno=0, rule=call, why=why)
        self._lives.append(Life(self._ring.last, event))
        self._audit.write(event)
        self._moved.set()
        self._moved = trio.Event()

    def told(self, event: Event) -> None:
        """Audits a call that was carried out in Python: it has its number in the ring already, and is not audited again."""
        self._told.append(event.id)
        if event.verdict != "continue":
            self._audit.write(event)

    async def audit_calls(self) -> None:
        """Writes what belongs there to the audit file, for ever."""
        seen = 0
        while True:
            await self._ring.wait_beyond(seen)
            last = self._ring.last  # before the snapshot: what comes after it shall not be skipped
            for raw in self._ring.snapshot(seen, continued=False):
                seen = raw.seq
                if raw.id not in self._told:
                    self._audit.write(self._event(raw))
            seen = max(seen, last)

    def since(self, after: int) -> list[tuple[int, Event]]:
        """What is still there of the events numbered above `after`, in order of time; a turn of life has the number before it."""
        calls = [(raw.seq, self._event(raw)) for raw in self._ring.snapshot(after)]
        turns = [(life.after, life.event) for life in self._lives if life.after >= after]
        return sorted(calls + turns, key=lambda numbered: numbered[1].time)

    async def follow(self, after: int) -> AsyncIterator[tuple[int, Event]]:
        """What is there above `after`, then what comes, for ever."""
        told: deque[str] = deque(maxlen=LIVES_KEPT)
        while True:
            moved = self._moved
            for life in [life for life in self._lives if life.after >= after and life.event.id not in told]:
                told.append(life.event.id)
                yield life.after, life.event
            for raw in self._ring.snapshot(after):
                after = raw.seq
                yield raw.seq, self._event(raw)
            await self._either(moved, after)

    async def _either(self, moved: trio.Event, after: int) -> None:
        """Until a turn of life or a vetted call comes."""
        async with trio.open_nursery() as nursery:
            async def vetted() -> None:
                await self._ring.wait_beyond(after)
                nursery.cancel_scope.cancel()

            nursery.start_soon(vetted)
            await moved.wait()
            nursery.cancel_scope.cancel()

    def _event(self, raw: RawEvent) -> Event:
        return event_of(raw, container=self._container, root=self._root)
