"""A mounter that is replaced when it dies.

What its death means: the call it was busy with fails with EIO, and so does every emulated call until the next one serves; nothing is
continued in its place. The next one is given the same plans and finds the container by its init. One that dies again and again is not
replaced for ever: after RENEWALS within RENEWAL_WINDOW_S emulated calls stay EIO, and the container's locks are all the same.
"""
import os
import socket
from collections import deque
from collections.abc import Sequence

import trio

from eci_supervisor.life.log import Log
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import clone_tree
from eci_supervisor.model.emulation import Caller, MounterFailed, MounterGone, Outcome
from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import TreePlan
from eci_supervisor.model.verdict import Effect, Judged
from eci_supervisor.mounts.mounter import LANES, Mounter
from eci_supervisor.observe.journal import Journal
from eci_supervisor.seccomp.judge import Judge

RENEWALS = 3
RENEWAL_WINDOW_S = 60.0


def _dead_socket() -> int:
    """One whose other end is gone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    return ours.detach()


class LastingMounter:
    """Speaks for the mounter that serves at present; `mountpoint` has those of the nodes below it."""

    def __init__(self, mountpoint: str, plans: tuple[TreePlan, ...], journal: Journal, log: Log, *, tmpfs: bool = False) -> None:
        """tmpfs: contexts of one shall lie in their lane."""
        self._tmpfs = tmpfs
        self._mountpoint, self._plans, self._journal, self._log = mountpoint, plans, journal, log
        self._current: Mounter | None = None
        self._lanes = tuple(OwnedFd(_dead_socket()) for _ in range(LANES))
        self.lanes = tuple(lane.fileno() for lane in self._lanes)  # of the mounter that serves at present, always the same numbers
        self._init = 0
        self._deaths: deque[float] = deque(maxlen=RENEWALS)
        self.deaths = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Starts a mounter, says started, and replaces it until cancelled. Raises OSError if the first cannot be started."""
        mounter = self._current = await self._start()
        task_status.started()
        try:
            while True:
                await mounter.wait_dead()
                mounter.close()
                self.deaths += 1
                self._journal.record("mounter", "the mounter died: emulated calls fail until another one serves", verdict="fail")
                mounter = self._current = await self._renewed()
        finally:
            mounter.close()

    async def _renewed(self) -> Mounter:
        """Another mounter, at once or when the window allows."""
        self._current = None
        while True:
            now = trio.current_time()
            if len(self._deaths) == RENEWALS and now - self._deaths[0] < RENEWAL_WINDOW_S:
                self._log.failure(f"the mounter died {RENEWALS} times within {RENEWAL_WINDOW_S:.0f} s: emulated calls stay EIO for a while")
                await trio.sleep(RENEWAL_WINDOW_S - (now - self._deaths[0]))
            self._deaths.append(trio.current_time())
            try:
                return await self._start()
            except (OSError, MounterFailed) as error:
                self.deaths += 1
                self._log.failure(f"no new mounter: {error}")

    async def _start(self) -> Mounter:
        with clone_tree(self._mountpoint, recursive=True) as nodes:  # a mounter may use its clone up
            mounter = await Mounter.start(nodes.fileno())
        try:
            for plan in self._plans:
                await mounter.plan(plan)
            if self._init:
                await mounter.container(self._init, tmpfs=self._tmpfs)
            for theirs, ours in zip(mounter.lanes, self.lanes, strict=True):
                os.dup2(theirs, ours, inheritable=False)
        except BaseException:
            mounter.close()
            raise
        return mounter

    def close(self) -> None:
        """After the serving threads that take from the lanes have ended."""
        for lane in self._lanes:
            lane.close()

    def _serving(self) -> Mounter:
        if self._current is None:
            raise MounterGone("the mounter is dead, another is being started")
        return self._current

    # The mounter's own methods.

    async def container(self, init: int) -> None:
        self._init = init
        await self._serving().container(init, tmpfs=self._tmpfs)

    async def attach_first(self, rootfs: bytes, late: Sequence[LateBind], sysctls: Sequence[tuple[bytes, bytes]]) -> None:
        await self._serving().attach_first(rootfs, late, sysctls)

    async def delegate_cgroup(self, init: int, owner: int) -> None:
        await self._serving().delegate_cgroup(init, owner)

    async def prove(self) -> None:
        await self._serving().prove()

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
        return await self._serving().emulate(effect, caller)

    async def emulate_judged(self, verdict: Judged, caller: Caller, judge: Judge) -> Outcome:
        return await self._serving().emulate_judged(verdict, caller, judge)
