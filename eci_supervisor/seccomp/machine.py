"""What the serving threads of a container answer sysinfo(2) from (native/sysinfo.c): filled in when one of them asks."""
import mmap
import os
from collections.abc import Callable

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.machine import MachineInfo
from eci_supervisor.native import ffi, lib


class Machine:
    """One for a container. `with contextlib.closing`: after the serving threads that use it have ended."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._event = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        # In a mapping of its own: serving threads write to it, and what else is Python's may be given back (linux/pages.py).
        memory = mmap.mmap(-1, ffi.sizeof("struct eci_machine"), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._machine = ffi.from_buffer("struct eci_machine *", memory)
        self._machine.event_fd = self._event.fileno()
        self._now = ffi.new("struct eci_sysinfo *")

    @property
    def pointer(self) -> object:
        """struct eci_machine *."""
        return self._machine

    def expire(self) -> None:
        """There is another sample: who asks next must not get the one before."""
        self._now.until_ns = 0
        lib.eci_machine_set(self._machine, self._now)

    def set(self, info: MachineInfo) -> None:
        self._now.number += 1
        self._now.until_ns, self._now.wide, self._now.narrow = info.until_ns, info.wide, info.narrow
        lib.eci_machine_set(self._machine, self._now)

    async def serve(self, current: Callable[[], MachineInfo]) -> None:
        """Calls `current` whenever a serving thread finds its sample too old, for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._event.fileno())
            os.eventfd_read(self._event.fileno())
            self.set(current())

    def close(self) -> None:
        self._event.close()
