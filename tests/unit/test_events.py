"""Events for people, and the ring they come from."""
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.callers import who
from eci_supervisor.seccomp.events import TEXT_LIMIT, escaped, event_of, namespace
from eci_supervisor.seccomp.ring import HOLD_OFF_S, Done, EventRing, RawEvent

INDEX = {rule.name: number for number, rule in enumerate(RULES)}
RAW = RawEvent(
    seq=0, id="", time_ns=time.time_ns(), duration_ns=7500, tid=1, pid=1, uid=100000, arch=0xC000003E, nr=165, args=(1, 2, 3, 0x21, 0, 0),
    rule=INDEX["mount.remount"], done=Done.CONTINUED, errno=0, texts={1: b"/t", 2: b"proc"},
)


@pytest.fixture
def ring() -> Iterator[EventRing]:
    made = EventRing(slots=8)
    yield made
    made.close()


@given(st.binary(max_size=600))
def test_escaped_is_short_printable_ascii(text: bytes) -> None:
    shown = escaped(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= TEXT_LIMIT


def test_escapes() -> None:
    assert escaped(b"/a\x1b[2J\\\n\xff") == "/a\\x1b[2J\\\\\\x0a\\xff"
    assert escaped(b"a" * 300) == "a" * 253 + "..."


def test_a_continued_call() -> None:
    event = event_of(RAW, container="web1", root="/run/runc")
    assert event.args == {"source": "0x1", "target": "/t", "type": "proc", "flags": "0x21", "data": "0x0"}
    assert (event.call, event.abi, event.verdict, event.rule) == ("mount", "x86_64", "continue", "mount.remount")
    assert event.checks == ("LOCK", "OWNER")
    assert (event.container, event.root, event.uid, event.duration_us) == ("web1", "/run/runc", 100000, 7.5)


def test_a_namespace_in_the_place_of_its_descriptor() -> None:
    setns = replace(RAW, rule=INDEX["setns"], nr=308, args=(7, 0, 0, 0, 0, 0), texts={0: b"40000000 4026532000 100000"})
    assert event_of(setns, container="c", root="r").args == {"fd": "network namespace 4026532000, made by uid 100000", "nstype": "0x0"}
    assert event_of(replace(setns, texts={}), container="c", root="r").args["fd"] == "0x7"
    assert namespace(b"100 1 0") == "100 (a kind we do not know) namespace 1, made by uid 0"


def test_a_call_without_a_rule() -> None:
    event = event_of(replace(RAW, rule=-1, nr=999, arch=7, done=Done.FAILED, errno=5), container="c", root="r")
    assert (event.call, event.abi, event.verdict, event.rule, event.why) == ("syscall 999", "0x7", "fail", "none", "no rule fits this call")
    assert event.checks == ()


@pytest.mark.parametrize("done", Done)
def test_every_outcome_has_a_word_and_a_reason(done: Done) -> None:
    event = event_of(replace(RAW, done=done), container="c", root="r")
    assert event.verdict in ("continue", "deny", "emulate", "fail")
    assert event.why


def test_what_is_pushed_is_read_with_its_number(ring: EventRing) -> None:
    pushed = ring.push(RAW)
    assert ring.snapshot() == [pushed]
    assert (pushed.seq, ring.last, len(pushed.id)) == (1, 1, 16)
    assert int(pushed.id, 16) >= 0


def test_the_oldest_are_overwritten(ring: EventRing) -> None:
    for number in range(20):
        ring.push(replace(RAW, tid=number))
    assert [(raw.seq, raw.tid) for raw in ring.snapshot()] == [(seq, seq - 1) for seq in range(13, 21)]
    assert [raw.seq for raw in ring.snapshot(after=18)] == [19, 20]
    assert ring.snapshot(after=20) == []


def test_long_strings_are_cut_to_the_slot(ring: EventRing) -> None:
    ring.push(replace(RAW, texts={1: b"/" + b"x" * 4000, 2: b"proc", 0: b""}))
    texts = ring.snapshot()[0].texts
    assert texts.keys() == {1}
    assert 100 < len(texts[1]) < 160


def test_a_waiter_is_woken_and_not_more_than_twenty_times_a_second(ring: EventRing) -> None:
    async def pushed_one_by_one() -> int:
        wakes, seen = 0, 0
        with trio.move_on_after(0.5):
            async with trio.open_nursery() as nursery:
                async def push() -> None:
                    while True:
                        ring.push(RAW)
                        await trio.sleep(0.001)

                nursery.start_soon(push)
                while True:
                    await ring.wait_beyond(seen)
                    wakes, seen = wakes + 1, ring.last
        return wakes

    assert 2 <= trio.run(pushed_one_by_one) <= 0.5 / HOLD_OFF_S + 2


def test_several_wait_at_once(ring: EventRing) -> None:
    async def all_woken() -> None:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(ring.wait_beyond, 0)
                await trio.testing.wait_all_tasks_blocked()
                ring.push(RAW)

    trio.run(all_woken)


def test_a_living_thread_is_known_and_an_older_one_of_its_number_is_not() -> None:
    assert who(os.getpid(), time.time_ns()) == (os.getpid(), os.geteuid())
    assert who(os.getpid(), time.time_ns() - 10**18) == (None, None)
    assert who(2**22 + 5, time.time_ns()) == (None, None)


def test_callers_are_looked_up_when_read(ring: EventRing) -> None:
    ring.push(replace(RAW, tid=os.getpid(), pid=None, uid=None, time_ns=time.time_ns()))
    assert [(raw.pid, raw.uid) for raw in ring.snapshot()] == [(os.getpid(), os.geteuid())]
