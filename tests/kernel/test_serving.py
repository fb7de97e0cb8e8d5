"""The serving thread under a real filter: what callers get, what is recorded, and what goes wrong."""
import ctypes
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from errno import EBADF, EFAULT, EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSYS, EPERM
from pathlib import Path
from typing import Any

import pytest
import trio

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.emulation import Caller, Outcome
from eci_supervisor.model.event import Event
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Effect
from eci_supervisor.native import lib
from eci_supervisor.policy.chosen import notified
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import IN_FLIGHT, ServingThread
from tests.support.filtered import Filtered, calls, notifying, syscall
from tests.support.serving import child, events, kept, nobody, result, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "seccomp_notify")

MOUNT, UMOUNT2, UNSHARE, SETNS, X32 = 165, 166, 272, 308, 0x40000000
USERFAULTFD = 323
REMOUNT, BIND, MOVE = 0x20, 0x1000, 0x2000
NEWNS = 0x20000
HERE = b"/nonexistent/eci"
PROC_MOUNT = (MOUNT, b"proc", HERE, b"proc", 0, b"hidepid=2")


def served(ring: EventRing, body: Callable[[], Any], judge: Any = nobody) -> tuple[Any, ServingThread]:  # noqa: ANN401 # a Judge
    """What a child gets, and the thread that served it, ended by itself."""
    async def main() -> tuple[Any, ServingThread]:
        async with serving(one, ring, judge) as thread:
            got = await result(one)
        return got, thread

    with child(body) as one:
        return trio.run(main)


def test_registers_decide_and_each_call_is_one_event(ring: EventRing) -> None:
    by_registers = calls(
        (UNSHARE, 0), (SETNS, -1, 0), (UMOUNT2, HERE, 2), (UMOUNT2, HERE, 0x10), (MOUNT, b"a", HERE, None, MOVE, None))
    got, thread = served(ring, by_registers)
    assert got == [0, -9, -ENOENT, -EINVAL, -ENOENT]
    seen = events(ring)
    assert [(e.call, e.rule, e.verdict, e.errno) for e in seen] == [
        ("unshare", "unshare.plain", "continue", 0), ("setns", "setns", "continue", 0), ("umount2", "umount2.detach", "continue", 0),
        ("umount2", "umount2.invalid", "continue", 0), ("mount", "mount.move", "continue", 0)]
    assert seen[1].checks == ("NSCAP",)
    assert all(0 < event.duration_us < 1e6 for event in seen)
    assert thread.counters().answered == 5


def test_an_event_names_the_namespace_of_a_setns(ring: EventRing) -> None:
    """By its descriptor, one that was bound somewhere too; any other descriptor stays a number, and is not even opened."""
    def body() -> list[int]:
        read, write = os.pipe()
        got = []
        for fd in (os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/proc/self/ns/user", os.O_RDONLY), read, 99):
            time.sleep(0.002)  # in a burst nothing is asked
            got.append(syscall(SETNS, fd, 0))
        os.close(write)
        return got

    got, _ = served(ring, body)
    assert got == [0, -EINVAL, -EINVAL, -EBADF]
    told = [event.args["fd"] for event in events(ring)]
    assert told == [f"network namespace {os.stat('/proc/self/ns/net').st_ino}, made by uid 0",
                    f"user namespace {os.stat('/proc/self/ns/user').st_ino}, made by uid 0", *told[2:]]
    assert int(told[2], 16) < 99 == int(told[3], 16)


def test_a_caller_is_known_by_its_user(ring: EventRing) -> None:
    """Looked up while it lives: this one does until it is killed."""
    def body() -> None:
        os.setresuid(54321, 54321, 54321)
        syscall(UNSHARE, 0)
        signal.pause()

    async def main() -> list[Event]:
        async with serving(one, ring):
            one.go()
            await ring.wait_beyond(0)
            return events(ring)

    with child(body) as one:
        assert [(event.uid, event.pid, event.abi) for event in trio.run(main)] == [(54321, one.pid, "x86_64")]


def test_x32_is_as_on_a_kernel_without_it(ring: EventRing) -> None:
    got, _ = served(ring, calls(*((nr | X32, 0, 0, 0, 0, 0) for nr in (MOUNT, UMOUNT2, UNSHARE, SETNS))))
    assert got == [-ENOSYS] * 4
    assert {(event.abi, event.verdict, event.errno) for event in events(ring)} == {("x32", "deny", ENOSYS)}


def test_a_notified_call_without_a_rule_fails_closed(ring: EventRing) -> None:
    async def main() -> Any:  # noqa: ANN401
        async with serving(one, ring):
            return await result(one)

    with Filtered(notifying([*notified(CallRules()), "sethostname"]), calls((170, b"x", 1))) as one:
        assert trio.run(main) == [-EIO]
    assert [(event.call, event.verdict, event.rule) for event in events(ring)] == [("sethostname", "fail", "none")]


def test_strings_are_copied_for_who_decides(ring: EventRing) -> None:
    seen: list[Call] = []

    async def judge(thread: ServingThread, call: Call) -> None:
        seen.append(call)
        assert thread.answer(call.id, 77)
        assert not thread.answer(call.id, 78)

    got, thread = served(ring, calls(PROC_MOUNT, (UMOUNT2, b"/" * 4095, 0), (UMOUNT2, b"/" * 4096, 0), (UMOUNT2, b"", 8)), judge)
    assert got == [-77] * 4
    assert {index: text.value for index, text in seen[0].texts.items()} == {0: b"proc", 1: HERE, 2: b"proc", 4: b"hidepid=2"}
    assert [(len(call.texts[0].value), call.texts[0].errno) for call in seen[1:]] == [(4095, 0), (4096, ENAMETOOLONG), (0, 0)]
    assert thread.counters().asked == 4


class Nothing:
    """A mounter for which no target is a tree."""

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
        del effect, caller
        return Outcome(ENOENT, not_tree=True)


def effects(ring: EventRing, told: list[Event], mounter: Any) -> Any:  # noqa: ANN401
    made = Effects(mounter, ring, told.append, container="c", root="r")

    async def judge(thread: ServingThread, call: Call) -> None:
        await made.on(thread)(call)

    return judge


def bad_pointers() -> list[tuple[Any, ...]]:
    """mount and umount2 with each pointer bad in each way, for each form of mount that can be told by flags."""
    hole = 0x10000  # below vm.mmap_min_addr
    bad = (None, 1, hole, 0xFFFF888000000000, 0x8000000000000000 - (1 << 64), b"", b"x" * 4096, b"x" * 8192, b"y" * 256 + b"/z")
    good = (b"none", HERE, b"tmpfs")
    made: list[tuple[Any, ...]] = []
    for flags in (0, BIND, REMOUNT, REMOUNT | BIND, MOVE, 1 << 18, 1 << 31, 1 << 40, 0xC0ED0000, 0xC0ED0020, 0xC0ED0000 | 1 << 40):
        for position in range(3):
            for pointer in bad:
                strings: list[Any] = list(good)
                strings[position] = pointer
                made.append((MOUNT, *strings, flags, None))
        made.append((MOUNT, *good, flags, 1))
    made += [(UMOUNT2, pointer, flags) for pointer in bad for flags in (0, 1, 2, 4, 8, 0x10)]
    return made


def test_bad_strings_get_the_kernels_errno(ring: EventRing) -> None:
    """Each call again without a filter: the same errno, whoever gave it."""
    def body() -> list[int]:
        assert syscall(UNSHARE, NEWNS) == 0
        return [syscall(*call) for call in cases]

    cases = bad_pointers()
    with Filtered(notifying(["acct"]), body) as plain:
        expected = trio.run(result, plain)
    told: list[Event] = []
    got, _ = served(ring, body, effects(ring, told, Nothing()))
    differing = [(case, want, had) for case, want, had in zip(cases, expected, got, strict=True) if want != had]
    assert differing == []
    assert {event.verdict for event in told} == {"continue", "deny"}




def two_pages(before_hole: bytes) -> int:
    """The address of a string that ends with its page, a hole behind it."""
    memory = kept(mmap.mmap(-1, 2 * 4096))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[4096 - len(before_hole) : 4096] = before_hole
    assert syscall(11, address + 4096, 4096) == 0  # munmap
    return address + 4096 - len(before_hole)


def test_strings_before_a_hole(ring: EventRing) -> None:
    seen: list[Call] = []

    async def judge(thread: ServingThread, call: Call) -> None:
        seen.append(call)
        thread.answer(call.id, 77)

    def body() -> list[int]:
        return [
            syscall(MOUNT, b"s", b"/t", two_pages(b"proc"), 0, None),  # the type has no end: not judged by us, EFAULT by the kernel
            syscall(MOUNT, b"s", b"/t", two_pages(b"proc\0"), 0, two_pages(b"a,b")),  # data needs no NUL
            syscall(UMOUNT2, two_pages(b"/t"), 0),
        ]

    got, _ = served(ring, body, judge)
    assert got == [-EFAULT, -77, -77]
    assert (seen[0].texts[2].value, seen[0].texts[4].value, seen[0].texts[4].errno) == (b"proc", b"a,b", 0)
    assert seen[1].texts[0].errno == EFAULT


def gone(notify_fd: int, notification: int) -> bool:
    return bool(lib.eci_id_valid(notify_fd, notification) == -ENOENT)


def test_a_caller_that_dies_while_it_is_judged(ring: EventRing) -> None:
    """Nothing is answered, nobody hangs, and the thread ends with its last caller."""
    answers: list[bool] = []

    async def judge(thread: ServingThread, call: Call) -> None:
        os.kill(call.tid, signal.SIGKILL)
        await trio.to_thread.run_sync(wait_until, lambda: gone(thread.notify_fd, call.id), "the kernel takes the call back")
        answers.append(thread.answer(call.id, 0) or thread.continue_(call.id))

    async def main() -> None:
        async with serving(one, ring, judge):
            one.go()
            await trio.lowlevel.wait_readable(one.fileno())

    with child(calls(PROC_MOUNT)) as one:
        trio.run(main)
    assert answers == [False]


def test_a_listener_that_is_closed_fails_pending_and_later_calls(ring: EventRing) -> None:
    async def main() -> list[int]:
        asked = trio.Event()

        async def judge(call: Call) -> None:
            del call
            asked.set()
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ServingThread(one.listener, ring).run, judge)
            one.go()
            await asked.wait()
            nursery.cancel_scope.cancel()
        await trio.lowlevel.wait_readable(one.fileno())
        got: list[int] = one.result()
        return got

    with child(calls(PROC_MOUNT, (UNSHARE, 0), PROC_MOUNT)) as one:
        assert trio.run(main) == [-ENOSYS] * 3


class Umounts:
    """A mounter that umounts once, and is too late with its answer the first time."""

    def __init__(self, sooner: Callable[[], None]) -> None:
        self.done = 0
        self._sooner = sooner

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
        del effect
        self.done += 1
        self._sooner()
        await trio.to_thread.run_sync(wait_until, lambda: gone(caller.notify_fd, caller.id), "the signal took the call away")
        return Outcome(0 if self.done == 1 else EINVAL, undone=True)


def test_a_signal_in_the_middle_of_an_umount(ring: EventRing) -> None:
    """The kernel issues the call again under another id; it gets the first one's result and nothing is done twice."""
    def body() -> list[int]:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, False)
        return [syscall(UMOUNT2, HERE, 0)]

    async def main() -> list[int]:
        async with serving(one, ring, effects(ring, told, mounter)):
            got: list[int] = await result(one)
            return got

    told: list[Event] = []
    with child(body) as one:
        mounter = Umounts(lambda: os.kill(one.pid, signal.SIGUSR1))
        assert trio.run(main) == [0]
    assert mounter.done == 1
    assert [(event.verdict, event.errno) for event in told] == [("emulate", 0)]


def test_signals_at_a_high_rate_lose_no_call(ring: EventRing) -> None:
    """As Go does with SIGURG. Every call returns what it would without us, none hangs."""
    def body() -> set[int]:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        got = {syscall(UMOUNT2, HERE, 0) for _ in range(2000)} | {syscall(UNSHARE, 0) for _ in range(2000)}
        signal.setitimer(signal.ITIMER_REAL, 0)
        return got

    told: list[Event] = []
    got, _ = served(ring, body, effects(ring, told, Nothing()))
    assert [event for event in [*told, *events(ring)] if event.verdict == "fail"] == []
    assert got == {0, -ENOENT}


def in_threads(count: int, *call: Any) -> Callable[[], list[int]]:  # noqa: ANN401
    """A body that makes one call in many threads at once."""
    def body() -> list[int]:
        got: list[int] = []
        threads = [threading.Thread(target=lambda: got.append(syscall(*call))) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return got

    return body


def test_64_threads_at_once(ring: EventRing) -> None:
    told: list[Event] = []
    waiting = 0
    all_there = trio.Event()

    class Together:
        async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
            nonlocal waiting
            del effect, caller
            waiting += 1
            if waiting == 64:
                all_there.set()
            await all_there.wait()
            return Outcome(EPERM, not_tree=True)

    got, _ = served(ring, in_threads(64, *PROC_MOUNT), effects(ring, told, Together()))
    assert got == [-EPERM] * 64
    assert len(told) == 64


def arrived(thread: ServingThread) -> int:
    return thread.counters().asked + thread.counters().failed


def test_more_than_can_wait_get_eio_and_the_rest_their_answer(ring: EventRing) -> None:
    crowd = 2 * IN_FLIGHT + 10

    async def main() -> list[int]:
        enough = trio.Event()

        async def judge(thread: ServingThread, call: Call) -> None:
            await enough.wait()
            thread.answer(call.id, 77)

        async with serving(one, ring, judge) as thread:
            one.go()
            await trio.to_thread.run_sync(wait_until, lambda: arrived(thread) == crowd, "all threads have called")
            enough.set()
            await trio.lowlevel.wait_readable(one.fileno())
            got: list[int] = one.result()
            return got

    with child(in_threads(crowd, *PROC_MOUNT)) as one:
        got = trio.run(main)
    full = got.count(-EIO)
    assert sorted(set(got)) == [-77, -EIO]
    assert 5 <= full <= 10
    assert [event.verdict for event in events(ring)] == ["fail"] * full


def test_nothing_is_left_of_a_served_listener(ring: EventRing) -> None:
    for _ in range(20):
        served(ring, calls((UNSHARE, 0)))
    names = [Path(f"/proc/self/task/{task}/comm").read_text() for task in os.listdir("/proc/self/task")]
    assert "eci-serve\n" not in names
