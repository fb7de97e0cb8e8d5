"""Waiting for what has no event to wait for: a poll with a deadline."""
import os
import select
import time
from collections.abc import Callable

# How much slower than an ordinary machine this one is: an emulated one needs longer for everything.
SLOWNESS = float(os.environ.get("ECI_TEST_SLOWNESS", "1"))
DEADLINE_S = 10.0 * SLOWNESS
STEP_S = 0.01


def wait_until(holds: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Returns as soon as `holds()` is true; raises TimeoutError that names `what`."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {deadline_s:.0f} s still not: {what}")
        time.sleep(STEP_S)


def wait_gone(pid: int, deadline_s: float = DEADLINE_S) -> None:
    """Returns when process `pid` has ended (at once if there is none); raises TimeoutError."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], deadline_s)[0]:
            raise TimeoutError(f"after {deadline_s:.0f} s process {pid} still lives")
    finally:
        os.close(fd)
