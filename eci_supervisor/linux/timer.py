"""A timer as a file descriptor."""
import platform
import time
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import check_libc, ffi, lib

NR_TIMERFD_CREATE, NR_TIMERFD_SETTIME = {"x86_64": (283, 286), "aarch64": (85, 86)}[platform.machine()]
TFD_CLOEXEC: Final = 0x80000
TFD_NONBLOCK: Final = 0x800


class Timer:
    """Readable once its moment has come, until it is set again. Counts CLOCK_MONOTONIC."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        clock, flags = ffi.cast("int", time.CLOCK_MONOTONIC), ffi.cast("int", TFD_CLOEXEC | TFD_NONBLOCK)
        self._timer = OwnedFd(check_libc(lib.syscall(NR_TIMERFD_CREATE, clock, flags), "timerfd_create"))

    def fileno(self) -> int:
        return self._timer.fileno()

    def close(self) -> None:
        self._timer.close()

    def set(self, after_s: float | None) -> None:
        """Readable `after_s` from now (0 or less: at once), or never (None)."""
        after_ns = 0 if after_s is None else max(1, round(after_s * 1e9))  # 0 would switch it off
        spec = ffi.new("long[4]", [0, 0, after_ns // 10**9, after_ns % 10**9])  # struct itimerspec: interval, then value
        nothing = ffi.cast("int", 0)
        check_libc(lib.syscall(NR_TIMERFD_SETTIME, ffi.cast("int", self.fileno()), nothing, spec, ffi.NULL), "timerfd_settime")
