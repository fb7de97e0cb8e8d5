"""The look that an admin's rules for sources and targets take at what a call's names led to.

In a thread: a container's files can be slow.
"""
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from errno import EIO, EPERM

import trio

from eci_supervisor.linux.ancestry import DIRECTORY, TYPE_MASK, chain, mount_number, top
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from eci_supervisor.model.listed import Device, Listed, is_source, is_target
from eci_supervisor.model.verdict import COPIES, Bind, Effect, Judged, Move, OpenTree, in_itself
from eci_supervisor.mounts.carried import carried, carriers
from eci_supervisor.mounts.mountinfo import MountEntry, MountinfoError, parse_mountinfo
from eci_supervisor.seccomp.places import Places, told

LOG = logging.getLogger(__name__)
DEADLINE_S = 2.0
NOTHING_IS_RENAMED = (b"proc", b"sysfs")
THREADS = trio.CapacityLimiter(4)  # one that hangs in a file system of the container's stays taken


@dataclass(frozen=True, slots=True)
class Judgement:
    """errno: 0 if nothing is against it; alone: what is copied is copied without the mounts below it, because there are none; or because
    a rule is against these: below is the errno then where the kernel copies it with them or not at all; places: what is copied with them
    is copied first, if these are as they were, and attached if they still are. To be closed.
    """

    errno: int = 0
    alone: bool = False
    below: int = 0
    places: Places | None = None


Judge = Callable[[Sequence[OwnedFd]], Awaitable[Judgement]]  # takes them over


def looked_at(verdict: Judged, listed: Listed, found: Sequence[OwnedFd]) -> Judgement:
    """Whether a rule is against it; yes too where that cannot be seen. found: the mount table, what the names led to, the caller's root."""
    try:
        if any(is_source(chain(found[number], found[-1]), listed) for number in verdict.sources) or any(
                is_target(chain(found[number], found[-1]), listed) for number in verdict.targets):
            return Judgement(EPERM)
        if not listed.sources or not isinstance(verdict.effect, Bind | OpenTree | Move):
            return Judgement()
        return _below(verdict.effect, found[verdict.sources[0]], listed, found)
    except (OSError, MountinfoError) as error:
        LOG.info("a source or target of a mount cannot be told: %s", error)
        return Judgement(EPERM)


def _below(effect: Effect, source: OwnedFd, listed: Listed, found: Sequence[OwnedFd]) -> Judgement:
    """Of a directory that is to be copied with what is mounted below it, where the kernel or the caller wants that; of a mount, moved."""
    before = told(found[0], source)
    table, number = parse_mountinfo(before[0]), mount_number(source)
    along = carried(table, number, before[1])
    if not along and isinstance(effect, COPIES):
        return Judgement(alone=True)
    of_one_mount = isinstance(effect, COPIES) and in_itself(effect) == effect  # unless the kernel refuses that
    refused = Judgement(alone=True, below=EPERM) if of_one_mount else Judgement(EPERM)
    with top(found[-1]) as namespace:
        looked = [(line, _status(line, namespace)) for line in table if _device(line) in listed.devices]
        suspects = [(line, status) for line, status in looked if _is_source(status, listed)]
        # In a mount namespace there is one of each volume that is a source, or none.
        all_are_seen = sum(status is not None for _, status in suspects) >= listed.mounts
        if any(line in along for line, _ in suspects) or (not all_are_seen and _may_hide_one(table, number, namespace)):
            return refused
        beside = carriers(table, number, (line.id for line, _ in suspects))
        if not beside or of_one_mount or isinstance(effect, Move):
            return refused if beside else Judgement()
        places = Places(found[0], source, before)
        places.watch(next(line for line in table if line.id == number), beside, namespace)
        return Judgement(places=places)


def _may_hide_one(table: Sequence[MountEntry], number: int, namespace: OwnedFd) -> bool:
    """Whether a mount, or one on it, is a part of a file system: what is mounted in that may be out of it by now, renamed together with
    where it is mounted, and then it is in no table."""
    parts = (line for line in (*carried(table, number, b"/"), *(line for line in table if line.id == number))
             if line.root != b"/" and line.fstype not in NOTHING_IS_RENAMED)
    return any(_is_directory(_status(line, namespace)) for line in parts)


def _device(line: MountEntry) -> Device:
    return line.major, line.minor


def _is_directory(status: os.stat_result | None) -> bool:
    return status is None or status.st_mode & TYPE_MASK == DIRECTORY


def _is_source(status: os.stat_result | None, listed: Listed) -> bool:
    return status is None or (status.st_dev, status.st_ino) in listed.sources


def _status(line: MountEntry, namespace: OwnedFd) -> os.stat_result | None:
    """What a mount is of; None where it cannot be opened, hidden below another one for instance: then it may be of anything."""
    try:
        with openat2(namespace.fileno(), line.path.strip(b"/") or b".", os.O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) as fd:
            return os.stat(fd.fileno()) if mount_number(fd) == line.id else None
    except OSError:
        return None


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
