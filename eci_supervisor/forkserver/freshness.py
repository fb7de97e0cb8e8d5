"""Keeps an engine's overlay and ours, both over one upper directory, from showing each other's past.

Neither sees in its dentry cache what the other has changed: docs/freshness.md says what that means and what remains of it. The cure is
to drop the cached names whenever the engine has used its own mount: what it will look up next is then looked up afresh.
"""
import os
import select
import time
from dataclasses import dataclass
from typing import Final

from eci_supervisor.linux.dentries import drop_dentries
from eci_supervisor.linux.fanotify import CloseWatch
from eci_supervisor.linux.fds import OUT_OF_FDS, OwnedFd
from eci_supervisor.linux.timer import Timer

READS_A_DRAIN: Final = 16  # of 64 events each: the loop that calls us has other things to do
PAUSE_S: Final = 0.02  # between two drops of one container: an export closes thousands of files a second
PAUSE_TO_COST: Final = 10  # a drop that takes long (many names) makes the pause longer
ROUND_S: Final = 2.0  # between two drops of every engine's names: what an engine only looked up makes no event
SETTLE_S: Final = 0.1  # an engine changes owner and mode after it has closed a file: a last drop follows so much later


@dataclass(slots=True)
class _Pair:
    """Two overlays over one upper directory, and what is to be dropped. Times are CLOCK_MONOTONIC."""

    engine: OwnedFd
    ours: OwnedFd
    engine_stale: bool = False
    ours_stale: bool = False
    settle_ours: bool = False  # what the last drop is about
    not_before_s: float = 0.0
    settle_at_s: float | None = None

    def due_s(self) -> float | None:
        """When something is to be dropped next."""
        return self.not_before_s if self.engine_stale or self.ours_stale else self.settle_at_s

    def touch(self, now_s: float, *, written: bool) -> None:
        """The engine has closed a file."""
        self.engine_stale = True
        self.ours_stale |= written
        self.settle_ours |= written
        self.settle_at_s = max(now_s, self.not_before_s) + SETTLE_S

    def drop(self, now_s: float) -> None:
        """Drops what is stale, or for the last time. Raises OSError."""
        last = self.settle_at_s is not None and now_s >= self.settle_at_s
        drop_dentries(self.engine.fileno())
        if self.ours_stale or (last and self.settle_ours):
            drop_dentries(self.ours.fileno())
        self.engine_stale = self.ours_stale = False
        if last:
            self.settle_at_s, self.settle_ours = None, False
        self.not_before_s = now_s + max(PAUSE_S, PAUSE_TO_COST * (time.monotonic() - now_s))

    def close(self) -> None:
        self.engine.close()
        self.ours.close()


class Freshness:
    """The pairs of overlays on this host. One descriptor to poll; drain() when it is readable."""

    __slots__ = ("_devices", "_pairs", "_poll", "_round_at_s", "_timer", "_watch")

    def __init__(self) -> None:
        self._watch = CloseWatch()
        self._timer = Timer()
        self._poll = select.epoll()
        self._poll.register(self._watch, select.EPOLLIN)
        self._poll.register(self._timer, select.EPOLLIN)
        self._pairs: dict[str, _Pair] = {}
        self._devices: dict[int, str] = {}
        self._round_at_s = 0.0

    def __len__(self) -> int:
        """How many containers are watched."""
        return len(self._pairs)

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        """Gives up every descriptor. A child of fork calls it too: one that keeps them keeps the engine's overlays mounted."""
        for pair in self._pairs.values():
            pair.close()
        self._pairs.clear()
        self._devices.clear()
        self._poll.close()
        self._timer.close()
        self._watch.close()

    def watch(self, key: str, engine_fd: OwnedFd, our_fd: OwnedFd, *, written: bool = False) -> None:
        """Takes over the roots (O_PATH will do) of the engine's overlay and of ours; drops the engine's names at once.

        written: nobody has watched for a while, so that the engine may have written, too.
        Raises OSError; both are closed then. Who watches must forget: a held descriptor keeps an overlay alive after its engine's unmount.
        """
        self.forget(key)
        pair = _Pair(engine_fd, our_fd)
        try:
            device = os.fstat(engine_fd.fileno()).st_dev
            self._watch.add(engine_fd.fileno())
            drop_dentries(engine_fd.fileno())
        except OSError:
            pair.close()
            raise
        pair.touch(time.monotonic(), written=written)
        self._pairs[key], self._devices[device] = pair, key
        self._set_timer()

    def forget(self, key: str) -> None:
        """Closes what watch() took; does nothing for a key it does not know. Never raises."""
        pair = self._pairs.pop(key, None)
        if pair is None:
            return
        self._devices = {device: other for device, other in self._devices.items() if other != key}
        try:
            self._watch.remove(pair.engine.fileno())
        except OSError:
            pass  # the mark has gone with its superblock, or goes with the descriptor below
        finally:
            pair.close()
        # Events still in the queue hold the engine's mount as well.
        self._take_events()
        self._set_timer()

    def drain(self) -> tuple[str, ...]:
        """Reads what has happened and drops what is due; bounded. Returns the keys it had to forget because a drop failed."""
        self._take_events()
        now_s = time.monotonic()
        if now_s >= self._round_at_s:
            self._round_at_s = now_s + ROUND_S
            for pair in self._pairs.values():
                pair.engine_stale = True
        failed = []
        for key, pair in list(self._pairs.items()):
            due_s = pair.due_s()
            if due_s is None or due_s > now_s:
                continue
            try:
                pair.drop(now_s)
            except OSError as error:
                if error.errno in OUT_OF_FDS:
                    pair.not_before_s = now_s + ROUND_S  # a drop takes one: it is still due
                else:
                    failed.append(key)
        for key in failed:
            self.forget(key)
        self._set_timer()
        return tuple(failed)

    def _take_events(self) -> None:
        for _ in range(READS_A_DRAIN):
            events = self._watch.read()
            if events is None:
                return
            now_s = time.monotonic()
            for event in events:
                if event.pid != os.getpid():
                    self._touch(event.device, now_s, written=event.written)

    def _touch(self, device: int | None, now_s: float, *, written: bool) -> None:
        # Where layers lie on several file systems, a file of an overlay has a device of its own: not known, so it may be anybody's.
        key = None if device is None else self._devices.get(device)
        for pair in (self._pairs.values() if key is None else (self._pairs[key],)):
            pair.touch(now_s, written=written)

    def _set_timer(self) -> None:
        due = [at_s for pair in self._pairs.values() if (at_s := pair.due_s()) is not None]
        # Without pairs there is nothing to wake up for.
        self._timer.set(min([*due, self._round_at_s]) - time.monotonic() if self._pairs else None)
