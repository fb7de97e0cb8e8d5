"""Verdicts carried out, with a mounter and a serving thread that behave as such."""
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from errno import EACCES, EINVAL, EIO, ENODEV, ENOENT, EPERM

import pytest
import trio
import trio.testing

from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.emulation import Caller, MounterGone, MounterStuck, Outcome
from eci_supervisor.model.event import Event
from eci_supervisor.model.notification import Call, Text
from eci_supervisor.model.verdict import Effect, Judged, MountTree, UmountTree
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.judge import Judge
from eci_supervisor.seccomp.repeats import KEPT_LIMIT, KEPT_NS, Kept, Repeat, Result
from eci_supervisor.seccomp.ring import Done, EventRing
from eci_supervisor.seccomp.serve import raw_event

INDEX = {rule.name: number for number, rule in enumerate(RULES)}
PROC = {0: Text(b"proc"), 1: Text(b"/t"), 2: Text(b"proc"), 4: Text(b"")}


@dataclass
class Answers:
    """A serving thread whose callers are there, or gone."""

    notify_fd: int = 9
    present: bool = True
    sent: list[tuple[int, str, int]] = field(default_factory=list)

    def answer(self, notification: int, errno: int) -> bool:
        self.sent.append((notification, "answer", errno))
        return self.present

    def continue_(self, notification: int) -> bool:
        self.sent.append((notification, "continue", 0))
        return self.present


@dataclass
class Mounts:
    """A mounter that says what it was told to say, in order."""

    says: list[Outcome | Exception]
    done: list[tuple[Effect, Caller]] = field(default_factory=list)

    async def emulate(self, effect: Effect, caller: Caller) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.done.append((effect, caller))
        return self._said()

    async def emulate_judged(self, verdict: Judged, caller: Caller, judge: Judge) -> Outcome:
        await trio.lowlevel.checkpoint()
        judged = await judge(())
        self.done.append((verdict.effect, caller))
        return Outcome(judged.errno, denied=True) if judged.errno else self._said()

    def _said(self) -> Outcome:
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


@dataclass
class Scene:
    mounts: Mounts
    events: list[Event]
    raw: Callable[[Call], Awaitable[None]]
    answers: Answers
    ring: EventRing

    def judge(self, call: Call) -> None:
        trio.run(self.raw, call)


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    ring = EventRing()

    def made(*says: Outcome | Exception, present: bool = True) -> Scene:
        events: list[Event] = []
        mounts, answers = Mounts(list(says)), Answers(present=present)
        judge = Effects(mounts, ring, events.append, container="web1", root="/run/runc").on(answers)
        return Scene(mounts, events, judge, answers, ring)

    yield made
    ring.close()


def call(rule: str, texts: dict[int, Text], number: int = 1) -> Call:
    args = (0, 1, 2, 0, 0, 0)
    return Call(id=number, tid=os.getpid(), arch=0xC000003E, nr=165, args=args, ip=3, rule=INDEX[rule], texts=texts, received_ns=1)


UMOUNT = {0: Text(b"/t")}


def test_a_denial_is_answered_here(scene: Callable[..., Scene]) -> None:
    seen = scene()
    seen.judge(call("umount2.tree", {0: Text(b"")}))
    assert seen.answers.sent == [(1, "answer", ENOENT)]
    told = [(event.verdict, event.errno, event.rule, event.uid) for event in seen.events]
    assert told == [("deny", ENOENT, "umount2.tree", os.geteuid())]


def test_the_mounter_answers_what_it_did(scene: Callable[..., Scene]) -> None:
    seen = scene(Outcome(0, uid=100000, pid=77))
    seen.judge(call("mount.new_tree", PROC))
    assert seen.answers.sent == []
    assert isinstance(seen.mounts.done[0][0], MountTree)
    assert seen.mounts.done[0][1] == Caller(9, 1, os.getpid())
    assert [(e.verdict, e.errno, e.uid, e.pid, e.args["target"]) for e in seen.events] == [("emulate", 0, 100000, 77, "/t")]


def test_no_tree_is_continued_where_the_kernel_checks(scene: Callable[..., Scene]) -> None:
    seen = scene(Outcome(0, not_tree=True))
    seen.judge(call("umount2.tree", UMOUNT))
    assert seen.answers.sent == [(1, "continue", 0)]
    assert [(event.verdict, event.checks) for event in seen.events] == [("continue", ("LOCK",))]


def test_no_tree_is_refused_where_nothing_checks(scene: Callable[..., Scene]) -> None:
    seen = scene(Outcome(EINVAL, not_tree=True))
    seen.judge(call("mount.new_tree", PROC))
    assert seen.answers.sent == [(1, "answer", EINVAL)]


@pytest.mark.parametrize(("rule", "texts", "answer"), [
    ("mount.new_tree", PROC, ("answer", EACCES)), ("umount2.tree", UMOUNT, ("continue", 0)), ("mount.bind", PROC, ("continue", 0)),
    ("mount.remount_bind", PROC, ("answer", EACCES)), ("mount.remount", PROC, ("answer", EACCES)),
])
def test_of_another_label_only_the_kernel_does_anything(
    scene: Callable[..., Scene], rule: str, texts: dict[int, Text], answer: tuple[str, int],
) -> None:
    """A remount that it would do alone would leave the nodes as they were."""
    seen = scene(Outcome(EACCES, not_tree=True))
    seen.judge(call(rule, texts))
    assert seen.answers.sent == [(1, *answer)]
    (event,) = seen.events
    denied = answer[1] == EACCES
    assert (event.verdict, event.errno, "AppArmor" in event.why) == ("deny" if denied else "continue", answer[1], denied)


@pytest.mark.parametrize("error", [MounterGone("gone"), MounterStuck("stuck"), ValueError("a defect")])
def test_our_own_failure_is_eio_and_one_event(scene: Callable[..., Scene], error: Exception) -> None:
    seen = scene(error)
    seen.judge(call("umount2.tree", UMOUNT))
    assert seen.answers.sent == [(1, "answer", EIO)]
    assert [(event.verdict, event.errno) for event in seen.events] == [("fail", EIO)]
    assert ("mounter" if isinstance(error, MounterGone | MounterStuck) else "handler") in seen.events[0].why


def test_a_caller_that_is_gone_makes_no_event(scene: Callable[..., Scene]) -> None:
    seen = scene(Outcome(0, not_tree=True), present=False)
    seen.judge(call("umount2.tree", UMOUNT))
    assert seen.events == []


def test_an_umount_whose_answer_was_lost_is_not_done_twice(scene: Callable[..., Scene]) -> None:
    seen = scene(Outcome(0, undone=True), Outcome(EINVAL))
    for number in (1, 2, 3):
        seen.judge(call("umount2.tree", UMOUNT, number))
    assert [type(effect) for effect, _ in seen.mounts.done] == [UmountTree, UmountTree]  # for 1 and 3
    assert seen.answers.sent == [(2, "answer", 0)]
    assert [(event.verdict, event.errno) for event in seen.events] == [("emulate", 0), ("emulate", EINVAL)]


def test_a_thread_that_has_moved_on_repeats_nothing(scene: Callable[..., Scene]) -> None:
    """It saw EINTR, mounted again, and means the second mount now."""
    seen = scene(Outcome(0, undone=True), Outcome(0), Outcome(0))
    seen.judge(call("umount2.tree", UMOUNT, 1))
    seen.judge(replace(call("mount.new_tree", PROC, 2), ip=4))
    seen.judge(call("umount2.tree", UMOUNT, 3))
    assert [type(effect) for effect, _ in seen.mounts.done] == [UmountTree, MountTree, UmountTree]


def test_a_thread_that_has_moved_on_without_python_repeats_nothing(scene: Callable[..., Scene]) -> None:
    """What it did meanwhile was answered by the serving thread, and is in the ring."""
    seen = scene(Outcome(0, undone=True), Outcome(0))
    seen.judge(call("umount2.tree", UMOUNT, 1))
    seen.ring.push(raw_event(call("mount.new", PROC), Done.CONTINUED, 0))
    seen.judge(call("umount2.tree", UMOUNT, 2))
    assert [type(effect) for effect, _ in seen.mounts.done] == [UmountTree, UmountTree]


@pytest.mark.parametrize(("rule", "texts", "outcome"), [
    ("mount.new_tree", PROC, Outcome(0, undone=True)),  # detached again: the repeated call makes a new one
    ("umount2.tree", UMOUNT, Outcome(ENOENT, undone=True)),  # nothing was done
])  # fmt: skip
def test_what_was_not_done_is_done_by_the_repeated_call(
    scene: Callable[..., Scene], rule: str, texts: dict[int, Text], outcome: Outcome,
) -> None:
    seen = scene(outcome, Outcome(0))
    seen.judge(call(rule, texts, 1))
    seen.judge(call(rule, texts, 2))
    assert len(seen.mounts.done) == 2
    assert [event.verdict for event in seen.events] == ["emulate"]


def test_a_result_is_kept_for_a_second_and_said_once() -> None:
    kept = Kept(lambda: 100)
    late = 100 + KEPT_NS
    calls = [replace(call("umount2.tree", UMOUNT), tid=tid, received_ns=late - (tid != 1)) for tid in range(3)]
    repeats = [Repeat(9, tid, 1, 2, 3, (), 4, 1) for tid in range(3)]
    for repeat in repeats[:2]:
        kept.keep(repeat, Result(7))
    assert [kept.take(9, calls[tid], repeats[tid]) for tid in (0, 0, 1, 2)] == [Result(7), None, None, None]


def test_a_dead_call_that_comes_late_is_not_kept() -> None:
    kept = Kept()
    for number, made in ((2, 8), (1, 5)):
        kept.keep(Repeat(9, 1, 1, 2, 3, (), 4, number), Result(7, made))
    again = Repeat(9, 1, 1, 2, 3, (), 4, 3)
    assert kept.take(9, replace(call("umount2.tree", UMOUNT, 3), tid=1), again) == Result(7, 8)


def test_of_too_many_threads_the_first_is_forgotten() -> None:
    kept = Kept()
    repeats = [Repeat(9, tid, 1, 2, 3, (), 4, 1) for tid in range(KEPT_LIMIT + 1)]
    for repeat in repeats:
        kept.keep(repeat, Result(7))
    known = [kept.take(9, replace(call("umount2.tree", UMOUNT), tid=repeat.tid), repeat) for repeat in repeats]
    assert known == [None] + [Result(7)] * KEPT_LIMIT


MADE = Outcome(0, made=5)


@pytest.mark.parametrize(("first", "again"), [
    (MADE, 5),  # it was answered, or so SEND said
    (Outcome(0, undone=True), 0),  # it is not there any more
    (Outcome(0, made=5, undone=True), 5),  # it could not be taken off again
    (Outcome(EINVAL, made=5), 0),
])  # fmt: skip
def test_a_mount_that_comes_again_knows_what_was_made(scene: Callable[..., Scene], first: Outcome, again: int) -> None:
    seen = scene(first, MADE)
    for number in (1, 2):
        seen.judge(call("mount.new_tree", PROC, number))
    assert [caller.made for _, caller in seen.mounts.done] == [0, again]


@pytest.mark.parametrize("second", [Outcome(0, made=5, undone=True), Outcome(ENOENT, undone=True)], ids=["after the look", "before"])
def test_a_mount_that_comes_again_twice_still_knows(scene: Callable[..., Scene], second: Outcome) -> None:
    """The second was interrupted too, having done nothing."""
    seen = scene(MADE, second, MADE)
    for number in (1, 2, 3):
        seen.judge(call("mount.new_tree", PROC, number))
    assert [caller.made for _, caller in seen.mounts.done] == [0, 5, 5]


def test_an_older_call_that_waited_longer_takes_nothing_away(scene: Callable[..., Scene]) -> None:
    """The thread has moved on since: it is dead."""
    seen = scene(MADE, Outcome(ENOENT, undone=True), MADE)
    older = replace(call("mount.new_tree", PROC, 1), args=(7, 7, 7, 0, 0, 0))
    for each in (call("mount.new_tree", PROC, 2), older, call("mount.new_tree", PROC, 3)):
        seen.judge(each)
    assert [caller.made for _, caller in seen.mounts.done] == [0, 0, 5]


def test_a_mount_of_the_serving_thread_is_known_too(scene: Callable[..., Scene]) -> None:
    seen = scene(MADE)
    seen.judge(replace(call("mount.new_tree", PROC), made=8))
    assert [caller.made for _, caller in seen.mounts.done] == [8]


def test_a_second_sysfs_is_the_kernels_ebusy(scene: Callable[..., Scene]) -> None:
    """So it needs no memory."""
    seen = scene(MADE, MADE)
    for number in (1, 2):
        seen.judge(call("mount.new_tree", {**PROC, 2: Text(b"sysfs")}, number))
    assert [caller.made for _, caller in seen.mounts.done] == [0, 0]


def test_a_thread_waits_for_what_is_undone_of_its_call_before(scene: Callable[..., Scene]) -> None:
    """A call that C would have continued at once comes here meanwhile, and is continued after that; another thread's is not held back."""
    seen, entered, other = scene(), trio.Event(), trio.Event()
    order: list[str] = []

    async def slow(effect: Effect, caller: Caller) -> Outcome:
        entered.set()
        await other.wait()
        order.append("undone")
        return Outcome(0, undone=True)

    def continued(notification: int) -> bool:
        order.append(f"continued {notification}")
        if notification == 3:
            other.set()
        return True

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(seen.raw, call("mount.new_tree", PROC, 1))
            await entered.wait()
            nursery.start_soon(seen.raw, call("mount.new", PROC, 2))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(seen.raw, replace(call("mount.new", PROC, 3), tid=1))

    seen.mounts.emulate = slow  # type: ignore[method-assign] # one that takes its time
    seen.answers.continue_ = continued  # type: ignore[method-assign]
    trio.run(main)
    assert order == ["continued 3", "undone", "continued 2"]


def test_a_rule_denies_what_a_call_led_to(scene: Callable[..., Scene]) -> None:
    """The mounter has answered; the event says that a rule did."""
    bind = {0: Text(b"/s"), 1: Text(b"/t"), 2: Text(b"", null=True), 4: Text(b"", null=True)}
    seen = scene(Outcome(EPERM, denied=True), Outcome(0))
    for number in (1, 2):
        seen.judge(call("mount.bind_judged", bind, number))
    assert [(event.verdict, event.errno, event.rule) for event in seen.events] == [
        ("deny", EPERM, "mount.bind_judged"), ("emulate", 0, "mount.bind_judged")]
    assert seen.answers.sent == []


@pytest.mark.parametrize(("name", "errno"), [(b"tmpfs", EPERM), (b"tmpfs.x", EPERM), (b"nosuch", ENODEV)])
def test_a_type_that_the_kernel_does_not_know_stays_unknown(name: bytes, errno: int) -> None:
    ring, answers, events = EventRing(), Answers(), list[Event]()
    only = CallRules(mount_types=MountTypes(allow=True, types=("proc",)))
    judge = Effects(Mounts([]), ring, events.append, container="web1", root="", calls=only).on(answers)
    trio.run(judge, call("fsopen.type", {0: Text(name)}))
    assert answers.sent == [(1, "answer", errno)]
    ring.close()
