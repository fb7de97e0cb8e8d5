"""What the serving threads of a container answer sysinfo(2) from (native/sysinfo.c): filled in when one of them asks."""
import os
from collections.abc import Callable

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.machine import MachineInfo
from eci_supervisor.native import ffi, lib


class Machine:
    """One for a container. `with contextlib.closing`: after the serving threads that use it have ended."""

    def __init__(self) -> None:
        """Raises MemoryError, OSError."""
        self._event = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._machine = lib.eci_machine_new(self._event.fileno())
        if not self._machine:
            raise MemoryError("the sample for sysinfo")
        self._stale = ffi.new("struct eci_sysinfo *")

    @property
    def pointer(self) -> object:
        """struct eci_machine *."""
        return self._machine

    def expire(self) -> None:
        """There is another sample: who asks next must not get the one before."""
        lib.eci_machine_set(self._machine, self._stale)

    def set(self, info: MachineInfo) -> None:
        lib.eci_machine_set(self._machine, ffi.new("struct eci_sysinfo *", {
            "until_ns": info.until_ns, "uptime_s": info.uptime_s, "loads": info.loads, "memory": info.memory, "procs": info.tasks}))

    async def serve(self, current: Callable[[], MachineInfo]) -> None:
        """Calls `current` whenever a serving thread finds its sample too old, for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._event.fileno())
            os.eventfd_read(self._event.fileno())
            self.set(current())

    def close(self) -> None:
        if self._machine:
            lib.eci_machine_free(self._machine)
            self._machine = ffi.NULL
        self._event.close()
