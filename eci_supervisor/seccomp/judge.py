"""The look that an admin's rules for sources and targets take at what a call's names led to.

In a thread: a container's files can be slow.
"""
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from errno import EIO, EPERM

import trio

from eci_supervisor.linux.ancestry import chain
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.listed import Listed, is_source, is_target
from eci_supervisor.model.verdict import Judged

LOG = logging.getLogger(__name__)
Judge = Callable[[Sequence[OwnedFd]], Awaitable[int]]  # takes them over; an errno, or 0
DEADLINE_S = 2.0
THREADS = trio.CapacityLimiter(4)  # one that hangs in a file system of the container's stays taken


def forbidden(verdict: Judged, listed: Listed, found: Sequence[OwnedFd]) -> bool:
    """Whether a rule is against it; yes too where that cannot be seen. found: as the names, the caller's root last."""
    try:
        return any(is_source(chain(one, found[-1]), listed) for one in _of(found, verdict.sources)) or any(
            is_target(chain(one, found[-1]), listed) for one in _of(found, verdict.targets))
    except OSError as error:
        LOG.info("a source or target of a mount cannot be told: %s", error)
        return True


def _of(found: Sequence[OwnedFd], numbers: Iterable[int]) -> Iterable[OwnedFd]:
    return (found[number - 1] for number in numbers)


async def judge(verdict: Judged, listed: Listed, found: Sequence[OwnedFd]) -> int:
    """EPERM, or 0 if nothing is against it; EIO where the look takes too long. Closes what was found."""
    def look() -> bool:
        try:
            return forbidden(verdict, listed, found)
        finally:
            for one in found:
                one.close()

    if not (verdict.sources and listed.sources) and not (verdict.targets and listed.targets):
        return 0  # their owner closes them
    with trio.move_on_after(DEADLINE_S):
        return EPERM if await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=THREADS) else 0
    return EIO
