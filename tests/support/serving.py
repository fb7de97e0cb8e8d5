"""A filtered child and a serving thread on its listener, for the length of a test."""
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from eci_supervisor.model.notification import Call
from eci_supervisor.policy.rows import Row
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.support.filtered import Filtered

Judge = Callable[[ServingThread, Call], Awaitable[None]]


async def nobody(thread: ServingThread, call: Call) -> None:
    """For calls that the thread answers alone."""
    raise AssertionError(f"nobody was to be asked: {call}")


@asynccontextmanager
async def serving(
    child: Filtered, ring: EventRing, judge: Judge = nobody, rows: tuple[Row, ...] | None = None,
) -> AsyncIterator[ServingThread]:
    """The thread serves, `judge` gets what it hands on. Left when the child is killed and the thread has ended by itself."""
    thread = ServingThread(child.listener, ring, rows)

    async def judged(call: Call) -> None:
        await judge(thread, call)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread.run, judged)
            yield thread
            child.kill()


async def result(child: Filtered) -> Any:  # noqa: ANN401 # whatever its body returned
    """What the child's body returns, started now."""
    child.go()
    await trio.lowlevel.wait_readable(child.fileno())
    return child.result()
