"""A timer as a file descriptor."""
import os
import struct
import time
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.syscall import syscall

NR_TIMERFD_CREATE, NR_TIMERFD_SETTIME = {"x86_64": (283, 286), "aarch64": (85, 86)}[os.uname().machine]
TFD_CLOEXEC: Final = 0x80000
TFD_NONBLOCK: Final = 0x800


class Timer:
    """Readable once its moment has come, until it is set again. Counts CLOCK_MONOTONIC."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer = OwnedFd(syscall(NR_TIMERFD_CREATE, time.CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK, what="timerfd_create"))

    def fileno(self) -> int:
        return self._timer.fileno()

    def close(self) -> None:
        self._timer.close()

    def set(self, after_s: float | None) -> None:
        """Readable `after_s` from now (0 or less: at once), or never (None)."""
        after_ns = 0 if after_s is None else max(1, round(after_s * 1e9))  # 0 would switch it off
        spec = struct.pack("=4q", 0, 0, after_ns // 10**9, after_ns % 10**9)  # struct itimerspec: interval, then value
        syscall(NR_TIMERFD_SETTIME, self.fileno(), 0, spec, None, what="timerfd_settime")
