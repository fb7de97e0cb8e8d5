"""Carries verdicts out: the mounter does and answers what is emulated, everything else is answered here; one event each."""
import logging
import time
from collections.abc import Awaitable, Callable
from errno import EACCES, EIO, ENODEV, ENOSPC, EPERM
from functools import partial
from typing import Protocol, assert_never

from eci_supervisor.linux.filesystems import is_known
from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.emulation import Caller, MounterFailed, Outcome
from eci_supervisor.model.event import Event
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.model.notification import Call
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import (
    FOLLOWED,
    ONCE,
    REPEATABLE,
    Continue,
    Deny,
    DenyType,
    Effect,
    Emulate,
    Judged,
    MountTree,
    Nest,
    Verdict,
)
from eci_supervisor.seccomp.callers import who
from eci_supervisor.seccomp.depth import nested
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.handlers import decide
from eci_supervisor.seccomp.judge import Judge, judge
from eci_supervisor.seccomp.repeats import Kept, Repeat, Result, repeat_of
from eci_supervisor.seccomp.ring import Done, EventRing
from eci_supervisor.seccomp.serve import raw_event

LOG = logging.getLogger(__name__)


class Mounting(Protocol):
    """What of the mounter is used here."""

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome: ...
    async def emulate_judged(self, verdict: Judged, caller: Caller, judge: Judge) -> Outcome: ...


class Answering(Protocol):
    """What of a serving thread is used here."""

    @property
    def notify_fd(self) -> int: ...
    def answer(self, notification: int, errno: int) -> bool: ...
    def continue_(self, notification: int) -> bool: ...


class Effects:
    """The effects of one container's verdicts. `record` gets every event but those that the serving threads answer themselves."""

    def __init__(self, mounter: Mounting, ring: EventRing, record: Callable[[Event], None], *, container: str, root: str,
                 calls: CallRules = NO_RULES, listed: Callable[[], Listed] = lambda: NOTHING_LISTED) -> None:
        """listed: asked when a rule is to be judged by it, and not before the container's mounts are there."""
        self._mounter, self._ring, self._record, self._calls = mounter, ring, record, calls
        self._container, self._root = container, root
        self._kept = Kept()
        self._listed = listed

    def on(self, thread: Answering) -> Callable[[Call], Awaitable[None]]:
        """What ServingThread.run wants."""

        async def judge(call: Call) -> None:
            await self._judge(thread, call)

        return judge

    async def _judge(self, thread: Answering, call: Call) -> None:
        try:
            async with self._kept.in_turn(thread.notify_fd, call):
                await self._carry_out(thread, call, decide(call, self._calls))
        except MounterFailed:
            LOG.exception("call %d of thread %d", call.nr, call.tid)
            self._fail(thread, call, Done.MOUNTER)
        except Exception:  # whatever breaks while one call is judged must not end the others: it fails closed
            LOG.exception("call %d of thread %d", call.nr, call.tid)
            self._fail(thread, call, Done.HANDLER)

    async def _carry_out(self, thread: Answering, call: Call, verdict: Verdict) -> None:
        match verdict:
            case Deny(errno):
                self._answer(thread, call, Done.DENIED, errno)
            case DenyType(name):
                self._answer(thread, call, Done.DENIED, EPERM if is_known(name) else ENODEV)
            case Continue():
                self._continue(thread, call)
            case Nest():
                # The thread is blocked, and its own namespaces are its own to change: what is asked now is what the kernel will see.
                if nested(call.tid) < self._calls.nested_depth:
                    self._continue(thread, call)
                else:
                    self._answer(thread, call, Done.DENIED, ENOSPC)
            case Emulate(otherwise=otherwise):
                await self._emulate(thread, call, verdict, may_continue=bool(otherwise))
            case Judged():
                await self._emulate(thread, call, verdict, may_continue=False)
            case _:
                assert_never(verdict)

    async def _emulate(self, thread: Answering, call: Call, verdict: Emulate | Judged, *, may_continue: bool) -> None:
        repeat = repeat_of(thread.notify_fd, call)
        kept = self._kept.take(thread.notify_fd, call, repeat)
        if kept and self._ring.made(call.tid, kept.after):
            kept = None  # it has moved on, by a call that C has answered
        if repeat and kept and not kept.made:
            if not self._answer(thread, call, Done.EMULATED, 0):
                self._kept.keep(repeat, kept)  # another signal
            return
        again = (kept.made if kept else call.made) if _once(verdict.effect) else 0
        after = self._ring.last
        outcome = await self._outcome(verdict, Caller(thread.notify_fd, call.id, call.tid, again))
        if outcome.not_tree:
            other_label = outcome.errno == EACCES
            if may_continue and not (other_label and isinstance(verdict.effect, FOLLOWED)):
                self._continue(thread, call, outcome)
            else:
                self._answer(thread, call, Done.LABEL if other_label else Done.DENIED, outcome.errno or EPERM, outcome)
        elif not outcome.undone:
            self._tell(call, Done.DENIED if outcome.denied else Done.EMULATED, outcome.errno, outcome.pid or None, outcome.uid)
        if repeat and not outcome.not_tree and (outcome.errno == 0 or outcome.undone):
            self._remember(repeat, verdict.effect, outcome, Result(after, again))

    async def _outcome(self, verdict: Emulate | Judged, caller: Caller) -> Outcome:
        match verdict:
            case Emulate(effect):
                return await self._mounter.emulate(effect, caller)
            case Judged():
                return await self._mounter.emulate_judged(verdict, caller, partial(judge, verdict, self._listed()))

    def _remember(self, repeat: Repeat, effect: Effect, outcome: Outcome, before: Result) -> None:
        """For the same call, should it come again. A tree whose caller was gone is detached, and made anew. What was made before is there,
        and a signal may take away the answer that says so, too: even before the mounter has looked."""
        if _once(effect) and (made := outcome.made or (before.made if outcome.undone else 0)):
            self._kept.keep(repeat, Result(self._ring.last, made))
        elif outcome.undone and outcome.errno == 0 and not isinstance(effect, REPEATABLE):
            self._kept.keep(repeat, Result(before.after))

    def _answer(self, thread: Answering, call: Call, done: Done, errno: int, outcome: Outcome | None = None) -> bool:
        pid, uid = _caller(call, outcome)  # before the answer: it may be the last thing the caller waits for
        answered = thread.answer(call.id, errno)
        if answered:
            self._tell(call, done, errno, pid, uid)
        return answered

    def _continue(self, thread: Answering, call: Call, outcome: Outcome | None = None) -> None:
        pid, uid = _caller(call, outcome)
        if thread.continue_(call.id):
            self._tell(call, Done.CONTINUED, 0, pid, uid)

    def _fail(self, thread: Answering, call: Call, done: Done) -> None:
        try:
            self._answer(thread, call, done, EIO)
        except OSError:
            LOG.exception("answer to thread %d", call.tid)

    def _tell(self, call: Call, done: Done, errno: int, pid: int | None, uid: int | None) -> None:
        """One event: into the ring, and to whoever keeps the audit file."""
        raw = raw_event(call, done, errno, pid=pid, uid=uid)
        self._record(event_of(self._ring.push(raw), container=self._container, root=self._root))


def _once(effect: Effect) -> bool:
    """Whether the same mount twice on one place can be told to be the same. A sysfs lies there once only, and the kernel says EBUSY."""
    return isinstance(effect, ONCE) and not (isinstance(effect, MountTree) and effect.kind == TreeKind.SYSFS)


def _caller(call: Call, outcome: Outcome | None) -> tuple[int | None, int | None]:
    """pid and uid, from the mounter where it has looked already."""
    if outcome is not None and outcome.uid is not None:
        return outcome.pid or None, outcome.uid
    return who(call.tid, time.time_ns())
