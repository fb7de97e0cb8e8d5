"""A filtered child and a serving thread on its listener, for the length of a test."""
import mmap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.event import Event
from eci_supervisor.model.notification import Call
from eci_supervisor.policy.chosen import notified
from eci_supervisor.policy.rows import Row
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.support.filtered import Filtered, notifying

KEPT: list[mmap.mmap] = []
Judge = Callable[[ServingThread, Call], Awaitable[None]]


async def nobody(thread: ServingThread, call: Call) -> None:
    """For calls that the thread answers alone."""
    raise AssertionError(f"nobody was to be asked: {call}")


@asynccontextmanager
async def serving(
    one: Filtered, ring: EventRing, judge: Judge = nobody, rows: tuple[Row, ...] | None = None,
) -> AsyncIterator[ServingThread]:
    """The thread serves, `judge` gets what it hands on. Left when the child is killed and the thread has ended by itself."""
    thread = ServingThread(one.listener, ring, rows)

    async def judged(call: Call) -> None:
        await judge(thread, call)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.run, judged)
            yield thread
            one.kill()


async def result(one: Filtered) -> Any:  # noqa: ANN401 # whatever its body returned
    """What the child's body returns, started now."""
    one.go()
    await trio.lowlevel.wait_readable(one.fileno())
    return one.result()


def child(body: Callable[[], Any]) -> Filtered:
    return Filtered(notifying(notified(CallRules())), body)


def events(ring: EventRing) -> list[Event]:
    return [event_of(raw, container="c", root="r") for raw in ring.snapshot()]


def kept(memory: mmap.mmap) -> mmap.mmap:
    """Mapped as long as the process, a child, lives."""
    KEPT.append(memory)
    return memory
