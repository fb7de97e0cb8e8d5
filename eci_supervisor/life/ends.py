"""When a supervisor ends: with its container, with a create that made none, or because it is told to."""
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from eci_supervisor.life.container import Container
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.process import pidfd_open
from eci_supervisor.linux.sockets import peer_credentials


@dataclass(frozen=True, slots=True)
class Creator:
    """Who asked for this supervisor: `spawned` is its connection, `pidfd` the process behind it, None if that is gone already."""

    pid: int
    pidfd: OwnedFd | None
    spawned: socket.socket

    @classmethod
    def of(cls, spawned: socket.socket) -> "Creator":
        """The pid is that of connect(2). It cannot be another's while the connection is open, as create holds it to its end."""
        pid = peer_credentials(spawned).pid
        try:
            return cls(pid, pidfd_open(pid), spawned)
        except ProcessLookupError:
            return cls(pid, None, spawned)

    async def gone(self) -> None:
        """Returns once the connection is closed and the process has exited."""
        while True:
            await trio.lowlevel.wait_readable(self.spawned.fileno())
            try:
                if not self.spawned.recv(64, socket.MSG_DONTWAIT):
                    break
            except BlockingIOError:
                continue
            except OSError:
                break
        if self.pidfd is not None:
            await trio.lowlevel.wait_readable(self.pidfd.fileno())


async def until_over(container: Container, creator: Creator) -> None:
    """Returns when there is nothing to supervise any more."""
    async with trio.open_nursery() as nursery:
        async def first(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        async def never_made() -> None:
            await creator.gone()
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
