"""The look that an admin's rules for sources and targets take at what a call's names led to.

In a thread: a container's files can be slow.
"""
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from errno import EIO, EPERM

import trio

from eci_supervisor.linux.ancestry import chain, mount_number, top
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from eci_supervisor.model.listed import Listed, is_source, is_target
from eci_supervisor.model.verdict import Bind, Judged, OpenTree
from eci_supervisor.mounts.carried import carried
from eci_supervisor.mounts.mountinfo import MountEntry, MountinfoError, parse_mountinfo

LOG = logging.getLogger(__name__)
DEADLINE_S = 2.0
THREADS = trio.CapacityLimiter(4)  # one that hangs in a file system of the container's stays taken


@dataclass(frozen=True, slots=True)
class Judgement:
    """errno: 0 if nothing is against it; alone: what is copied is copied without mounts below it, because there are none."""

    errno: int = 0
    alone: bool = False


Judge = Callable[[Sequence[OwnedFd]], Awaitable[Judgement]]  # takes them over


def looked_at(verdict: Judged, listed: Listed, found: Sequence[OwnedFd]) -> Judgement:
    """Whether a rule is against it; yes too where that cannot be seen. found: the mount table, what the names led to, the caller's root."""
    try:
        if any(is_source(chain(found[number], found[-1]), listed) for number in verdict.sources) or any(
                is_target(chain(found[number], found[-1]), listed) for number in verdict.targets):
            return Judgement(EPERM)
        copied = verdict.sources if listed.sources and isinstance(verdict.effect, Bind | OpenTree) else ()
        return _below(found[copied[0]], listed, found) if copied else Judgement()
    except (OSError, MountinfoError) as error:
        LOG.info("a source or target of a mount cannot be told: %s", error)
        return Judgement(EPERM)


def _below(source: OwnedFd, listed: Listed, found: Sequence[OwnedFd]) -> Judgement:
    """Of a directory that is to be copied with what is mounted below it, where the kernel or the caller wants that."""
    with open(found[0].fileno(), "rb", closefd=False) as file:
        table = parse_mountinfo(file.read())
    along = carried(table, mount_number(source), os.readlink(f"/proc/self/fd/{source.fileno()}".encode()))
    suspects = [line for line in along if (line.major, line.minor) in listed.devices]
    with top(found[-1]) as namespace:
        forbidden = any(_may_be_source(line, listed, namespace) for line in suspects)
    return Judgement(EPERM if forbidden else 0, alone=not along)


def _may_be_source(line: MountEntry, listed: Listed, namespace: OwnedFd) -> bool:
    """What is hidden below another mount cannot be opened, and may be anything."""
    with openat2(namespace.fileno(), line.path.strip(b"/") or b".", os.O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) as fd:
        status = os.stat(fd.fileno())
        return mount_number(fd) != line.id or (status.st_dev, status.st_ino) in listed.sources


async def judge(verdict: Judged, listed: Listed, found: Sequence[OwnedFd]) -> Judgement:
    """EPERM if a rule is against it; EIO where the look takes too long. Closes what was found."""
    def look() -> Judgement:
        try:
            return looked_at(verdict, listed, found)
        finally:
            for one in found:
                one.close()

    if not (verdict.sources and listed.sources) and not (verdict.targets and listed.targets):
        return Judgement()  # their owner closes them
    with trio.move_on_after(DEADLINE_S):
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=THREADS)
    return Judgement(EIO)
