"""A serving thread (native/serve.c) as trio sees it: what it hands on is taken out here, its end is noticed here."""
import fcntl
import os
import select
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EINPROGRESS, EIO, ENOENT
from functools import cache
from typing import Any

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.timer import Timer
from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.notification import Call, Text
from eci_supervisor.native import check, ffi, lib
from eci_supervisor.policy.arch import machine_abis
from eci_supervisor.policy.rows import Row, compiled
from eci_supervisor.seccomp import lane
from eci_supervisor.seccomp.lane import Lanes
from eci_supervisor.seccomp.machine import Machine
from eci_supervisor.seccomp.ring import Done, EventRing, RawEvent

__all__ = ["EventRing", "ServingThread"]

# A caller wakes the thread on its own processor, which it is about to leave: another would have to be woken first.
NOTIF_SET_FLAGS, SYNC_WAKE_UP = 0x40082104, 1
IN_FLIGHT = 64  # calls of one listener with tasks of their own; further ones wait in the thread's queue, of the same length
STUCK_S = 1.0
END_EVERY_S = 0.02
END_ATTEMPTS = 100
GO_ON = RUNS = -1  # for eci_answer, from eci_serve_done


@dataclass(frozen=True, slots=True)
class Counters:
    """Calls of one listener. answered, failed: in C; asked: handed to Python; lost: the caller went away first."""

    answered: int
    asked: int
    failed: int
    lost: int


def to_c(rows: tuple[Row, ...]) -> Any:  # noqa: ANN401 # a cffi object has no better type
    """struct eci_policy *. Raises ValueError if they are too many for it."""
    policy = ffi.new("struct eci_policy *")
    if len(rows) > len(policy.rows):
        raise ValueError(f"{len(rows)} rows, native/eci.h has room for {len(policy.rows)}")
    policy.count = len(rows)
    for place, row in zip(policy.rows, rows, strict=False):
        place.arch, place.nr, place.arg, place.reg, place.mask, place.value = row.arch, row.nr, row.arg, row.kind.value, row.mask, row.value
        place.text, place.action, place.error, place.rule = row.text, row.action, row.errno, row.rule
        place.reads, place.pages, place.structs = row.reads, row.pages, row.structs
        for name, text in zip(place.names, row.names, strict=False):
            ffi.memmove(name, text, len(text))
    return policy


@cache
def _policy(calls: CallRules) -> Any:  # noqa: ANN401 # the same
    """The rows for this machine; threads only read them."""
    return to_c(compiled(machine_abis(), calls))


def prepare() -> None:
    """Compiles the rules without an admin's, once for a process and for those it will fork: it takes milliseconds, and libseccomp."""
    _policy(NO_RULES)
    lane.to_c(Lanes((-1, -1)))


def _call(raw: Any) -> Call:  # noqa: ANN401 # struct eci_call *
    texts = {
        text.arg: Text(bytes(ffi.buffer(raw.bytes[index], text.length)), text.error, bool(text.null))
        for index, text in enumerate(raw.texts[0 : raw.text_count])
    }
    return Call(
        id=raw.id, tid=raw.tid, arch=raw.arch, nr=raw.nr, args=tuple(raw.args), ip=raw.ip, rule=raw.rule, texts=texts,
        received_ns=raw.received_ns, made=raw.made,
    )


def raw_event(call: Call, done: Done, errno: int, *, pid: int | None = None, uid: int | None = None) -> RawEvent:
    """What happened to `call` until now; it gets its number when it is pushed."""
    duration_ns = time.monotonic_ns() - call.received_ns
    return RawEvent(
        seq=0, id="", time_ns=time.time_ns() - duration_ns, duration_ns=duration_ns, tid=call.tid, pid=pid, uid=uid, arch=call.arch,
        nr=call.nr, args=call.args, rule=call.rule, done=done, errno=errno,
        texts={index: text.value for index, text in call.texts.items() if not text.null},
    )


class ServingThread:
    """One listener's thread. It serves from construction on; `run` must be called, and closes everything when it returns."""

    def __init__(self, listener: OwnedFd, ring: EventRing, rows: tuple[Row, ...] | None = None, machine: Machine | None = None,
                 calls: CallRules = NO_RULES, lanes: Lanes | None = None) -> None:
        """Takes over `listener`. rows: instead of those for `calls`, for tests; without a machine sysinfo(2) is EIO.

        lanes: borrowed until `run` has returned; without them every mount is asked for. Raises OSError.
        """
        self._listener, self._ring = listener, ring
        with suppress(OSError):  # before Linux 6.6
            fcntl.ioctl(listener.fileno(), NOTIF_SET_FLAGS, SYNC_WAKE_UP)
        self._event = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._timer = Timer()
        self._policy = _policy(calls) if rows is None else to_c(rows)
        self._raw = ffi.new("struct eci_call *")
        self._in_flight = trio.Semaphore(IN_FLIGHT)
        self._given_up = False
        self._final: Counters | None = None
        result = ffi.new("struct eci_server **")
        pointer = ffi.NULL if machine is None else machine.pointer
        self._mounts = ffi.NULL if lanes is None else lane.to_c(lanes)
        started = lib.eci_serve_start(
            listener.fileno(), self._policy, ring.pointer, pointer, self._mounts, self._event.fileno(), self._timer.fileno(), result)
        self._server = result[0] if check(started, "serving thread") == 0 else ffi.NULL

    @property
    def notify_fd(self) -> int:
        """The listener, borrowed."""
        return self._listener.fileno()

    def answer(self, notification: int, errno: int) -> bool:
        """Ends the call with `errno`, 0 for success. False: the caller is gone, or was answered."""
        return self._sent(lib.eci_answer(self.notify_fd, notification, errno))

    def continue_(self, notification: int) -> bool:
        """Has the kernel go on with the call. False as with answer."""
        return self._sent(lib.eci_answer(self.notify_fd, notification, GO_ON))

    def counters(self) -> Counters:
        """Until now; once run has returned, those at the end."""
        if self._final is not None:
            return self._final
        raw = ffi.new("struct eci_counters *")
        lib.eci_serve_counters(self._server, raw)
        return Counters(raw.answered, raw.asked, raw.failed, raw.lost)

    async def run(self, judge: Callable[[Call], Awaitable[None]]) -> None:
        """Has `judge` called with each call handed on, in a task of its own; returns when the listener has hung up.

        Raises OSError if the listener failed otherwise. Closes the listener in every case: what still asks gets ENOSYS.
        """
        try:
            async with trio.open_nursery() as watchers:
                watchers.start_soon(self._end_on_hangup)
                watchers.start_soon(self._watch_reads)
                async with trio.open_nursery() as calls:
                    error = await self._hand_out(calls, judge)
                watchers.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._end()
            self._close()
        if error:
            raise OSError(error, f"{os.strerror(error)}: seccomp listener")

    async def _hand_out(self, calls: trio.Nursery, judge: Callable[[Call], Awaitable[None]]) -> int:
        """Until the thread is done; its errno, or 0."""
        while not self._given_up:
            while lib.eci_serve_take(self._server, self._raw):
                call = _call(self._raw)
                await self._in_flight.acquire()
                calls.start_soon(self._one, call, judge)
            if (error := self._error()) is not None:
                return error
            await trio.lowlevel.wait_readable(self._event.fileno())
            os.eventfd_read(self._event.fileno())
        return 0

    async def _one(self, call: Call, judge: Callable[[Call], Awaitable[None]]) -> None:
        try:
            await judge(call)
        finally:
            lib.eci_serve_finished(self._server, call.tid)
            self._in_flight.release()

    def _error(self) -> int | None:
        """How the thread ended, None while it runs."""
        error = int(lib.eci_serve_done(self._server))
        return None if error == RUNS else error

    async def _end_on_hangup(self) -> None:
        # In a set of its own with no events asked for, the listener reports its end and nothing else: no wake-up for a call.
        with select.epoll() as hangup:
            hangup.register(self.notify_fd, 0)
            await trio.lowlevel.wait_readable(hangup.fileno())
        await self._end()
        self._given_up = self._error() is None
        os.eventfd_write(self._event.fileno(), 1)

    async def _end(self) -> None:
        """Signals the thread until it is done, since a signal before its ioctl is lost; gives up on one whose read is stuck."""
        for _ in range(END_ATTEMPTS):
            if self._error() is not None:
                return
            lib.eci_serve_end(self._server)
            await trio.sleep(END_EVERY_S)

    async def _watch_reads(self) -> None:
        """Answers for a thread that hangs in a caller's memory. The thread sets the timer, at most once a second, before it reads."""
        while True:
            await trio.lowlevel.wait_readable(self._timer.fileno())
            with suppress(BlockingIOError):  # the thread has set it again meanwhile
                os.read(self._timer.fileno(), 8)
            stuck = ffi.new("struct eci_call *")
            if not (notification := lib.eci_serve_reading(self._server, stuck)):
                continue
            await trio.sleep(max(0.0, stuck.received_ns / 1e9 + STUCK_S - time.monotonic()))
            if lib.eci_serve_reading(self._server, stuck) == notification and self.answer(notification, EIO):
                self._ring.push(raw_event(_call(stuck), Done.STUCK_READ, EIO))

    def _sent(self, result: int) -> bool:
        if result in (-ENOENT, -EINPROGRESS):
            return False
        check(result, "answer to a notification")
        return True

    def _close(self) -> None:
        self._final = self.counters()
        if self._error() is None:
            # The thread will use all of it once its read returns, which is when this process exits. The fds must not be reused.
            for fd in (self._listener, self._event):
                fd.steal()
            return
        lib.eci_serve_free(self._server)
        for closing in (self._listener, self._event, self._timer):
            closing.close()
