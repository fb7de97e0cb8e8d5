"""Who a thread is, asked of the host's procfs. Late: the serving thread has no time for it, so the caller may be gone by then."""
import os
import time

from eci_supervisor.linux.process import parse_start_time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _field(status: bytes, name: bytes, column: int) -> int | None:
    """A number of /proc/TID/status: the `column`-th of the line `name`."""
    line = next((line for line in status.splitlines() if line.startswith(name)), b"")
    return int(line.split()[column]) if line else None


def who(tid: int, at_ns: int) -> tuple[int | None, int | None]:
    """The pid and effective uid of the thread that had number `tid` at `at_ns` (since 1970); None for what cannot be said any more.

    A thread that started later is another one: numbers are used again.
    """
    try:
        with open(f"/proc/{tid}/stat", "rb") as file:
            start = parse_start_time(file.read())
        with open(f"/proc/{tid}/status", "rb") as file:
            status = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None, None
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    if start is None or boot_ns + start * 1_000_000_000 // TICKS_PER_S > at_ns:
        return None, None
    return _field(status, b"Tgid:", 1), _field(status, b"Uid:", 2)
