"""/proc/pressure/* with triggers, for poll(2): the container writes `some 200000 2000000`, we set that on its cgroup's own file and wait.

Why not the cgroup's file itself, bound: with nsdelegate, which systemd mounts version 2 with, the kernel lets nobody in the container's
cgroup namespace write to the files of its root. A trigger belongs to an open file, as the kernel's do. What they may be is what the
kernel lets an unprivileged user set: a window of whole 2 s.
"""
import _thread
import errno
import os
import re
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import File
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.snapshots import Snapshot, Snapshots

MOST: Final = 64  # triggers of a container; each costs the kernel a look every tenth of its window
WORDS: Final = re.compile(rb"(some|full)\s*(\d{1,10})\s+(\d{1,10})")  # as psi_trigger_create() reads them
WINDOW_US: Final = 2_000_000
READY: Final = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM
NO_TRIGGER: Final = READY | select.POLLERR | select.POLLPRI


@dataclass(slots=True)
class _Trigger:
    """`ready` is readable when it has fired: trio waits for nothing but reading and writing. kernel_handle: who is told, 0 for nobody."""

    file: OwnedFd
    ready: select.epoll
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    fired: int = 0
    kernel_handle: int = 0


class PressureFiles:
    """Those of one container, by inode, and their triggers, by the handle of the open file."""

    def __init__(self, snapshots: Snapshots, sampler: Sampler) -> None:
        self._snapshots, self._sampler = snapshots, sampler
        self._triggers: dict[int, _Trigger] = {}
        self._nursery: trio.Nursery | None = None
        self._notify: Callable[[int], None] = lambda _handle: None

    def snapshot(self, inode: int) -> Snapshot:
        """Raises OSError as Snapshots.take()."""
        return self._snapshots.take(inode)

    def set(self, handle: int, inode: int, text: bytes) -> None:
        """Raises OSError as the kernel does: EINVAL, EBUSY (one for each open file); EACCES where no pressure is counted, ENOSPC."""
        words, node = WORDS.match(text), tree.NODES.get(inode)
        assert isinstance(node, File)
        file = self._sampler.open_pressure(node.pressure)
        if handle in self._triggers:
            raise OSError(errno.EBUSY, "one trigger for each open file", node.pressure)
        if words is None or int(words[3]) % WINDOW_US:
            raise OSError(errno.EINVAL, "no trigger", node.pressure)
        if len(self._triggers) >= MOST or self._nursery is None:
            raise OSError(errno.ENOSPC, "too many triggers", node.pressure)
        os.write(file.fileno(), b" ".join(words.groups()))
        ready = select.epoll()
        ready.register(file.fileno(), select.EPOLLPRI)
        trigger = self._triggers[handle] = _Trigger(file, ready)
        self._nursery.start_soon(self._wait, handle, trigger)

    def poll(self, handle: int, kernel_handle: int) -> int:
        """What poll(2) says of an open file. `kernel_handle`: to be told when it says something else, 0 for not."""
        trigger = self._triggers.get(handle)
        if trigger is None:
            return NO_TRIGGER
        trigger.kernel_handle = kernel_handle or trigger.kernel_handle
        fired, trigger.fired = trigger.fired, trigger.fired & select.POLLERR
        return READY | fired

    def release(self, handle: int) -> None:
        """The open file is closed."""
        if (trigger := self._triggers.get(handle)) is not None:
            trigger.scope.cancel()

    async def run(self, notify: Callable[[int], None]) -> None:
        """Waits for triggers until cancelled; `notify` tells a kernel's handle that poll(2) has news."""
        self._notify = notify
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    async def _wait(self, handle: int, trigger: _Trigger) -> None:
        """The kernel forgets that a trigger has fired once it has said so, to the first who asks: trio, here."""
        try:
            with trigger.scope, trigger.ready:
                while not trigger.fired & select.POLLERR:  # the cgroup is gone
                    await trio.lowlevel.wait_readable(trigger.ready.fileno())
                    trigger.fired |= select.POLLPRI
                    for _, events in trigger.ready.poll(0):
                        trigger.fired |= events & select.POLLERR
                    if trigger.kernel_handle:
                        self._notify(trigger.kernel_handle)
        finally:
            _thread.start_new_thread(self._forget, (handle, trigger.file.steal()))

    def _forget(self, handle: int, fd: int) -> None:
        """In a thread: the kernel waits until nobody can be looking at the trigger, some 10 ms. Until then it counts."""
        os.close(fd)
        self._triggers.pop(handle, None)
