"""When a supervisor ends: with its container, with a create that made none, or because it is told to."""
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import trio

from eci_supervisor.life.container import Container


async def hung_up(spawned: socket.socket) -> None:
    """Returns once whoever asked for this supervisor has closed the connection: create holds it to its end, however it ends."""
    while True:
        await trio.lowlevel.wait_readable(spawned.fileno())
        try:
            if not spawned.recv(64, socket.MSG_DONTWAIT):
                return
        except BlockingIOError:
            continue
        except OSError:
            return


async def until_over(container: Container, spawned: socket.socket) -> None:
    """Returns when there is nothing to supervise any more."""
    async with trio.open_nursery() as nursery:
        async def first(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        async def never_made() -> None:
            await hung_up(spawned)
            if not await container.is_attached():
                nursery.cancel_scope.cancel()

        nursery.start_soon(first, container.stopped.wait)
        nursery.start_soon(first, container.gone)
        nursery.start_soon(never_made)


async def on_signal(number: signal.Signals, scope: trio.CancelScope) -> None:
    """Cancels `scope` when the signal comes."""
    with trio.open_signal_receiver(number) as received:
        async for _ in received:
            scope.cancel()
            return


def sentence(error: BaseException) -> str:
    """The first error within a group, which is the one that ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {os.fsdecode(error.filename)}" if error.filename else ""
        return f"{error.strerror}{where}"
    return f"{type(error).__name__}: {error}"
