"""An idle supervisor has little memory of its own: what its start and its work have changed, and changed back, it gives back.

A page that was given back and is written to again costs a page fault, so this is for times with nothing to do: whoever reads a node ten
times a second, or once a second, does not notice. Whether there was something to do tells the number of times that the loop has waited.
"""
import resource

import trio

from eci_supervisor.life.log import Log
from eci_supervisor.linux.pages import SharedPages

SETTLE_S = 0.5
MOST_SETTLE_S = 2.0
MOST_PASS_S = 16.0  # after that there is nothing left; a pass takes 2 ms
MOST_S = 64.0
OWN_WAITS = 2  # that for the time to pass, and one that an earlier deadline ended


class _GiveBack(trio.abc.Instrument):
    """Once, when the loop is about to wait: on its way there it would write to two hundred pages again."""

    def __init__(self, pages: SharedPages) -> None:
        self._pages = pages
        self.failure: OSError | None = None

    def before_io_wait(self, timeout: float) -> None:
        if timeout <= 0:
            return
        trio.lowlevel.remove_instrument(self)
        try:
            self._pages.give_back()
        except OSError as error:
            self.failure = error


async def give_back_when_idle(pages: SharedPages, log: Log) -> None:
    """After SETTLE_S in which nothing was asked of us, and some times more, ever later; as long as it can be done.

    Who comes back soon, as `top` does each second, finds that we wait longer the next time.
    """
    give_back, settle_s, pause_s = _GiveBack(pages), SETTLE_S, SETTLE_S
    while give_back.failure is None:
        waits = _waits()
        await trio.sleep(pause_s)
        if _waits() - waits <= OWN_WAITS:
            if pause_s <= MOST_PASS_S:
                trio.lowlevel.add_instrument(give_back)
            pause_s = min(2 * pause_s, MOST_S)
            continue
        if pause_s > MOST_SETTLE_S:
            settle_s = SETTLE_S
        elif pause_s > settle_s:  # what was given back was needed again
            settle_s = min(2 * settle_s, MOST_SETTLE_S)
        pause_s = settle_s
    log.warning(f"memory cannot be given back: {give_back.failure}")


def _waits() -> int:
    """How often this thread has waited."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
