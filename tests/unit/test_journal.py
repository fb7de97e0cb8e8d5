"""Where a container's events come together: calls and turns of its life in one order, each once in the audit file."""
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from eci_supervisor.observe.audit import AuditFile
from eci_supervisor.observe.journal import Journal
from eci_supervisor.policy.arch import AUDIT_ARCH, Abi
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.ring import Done, EventRing, RawEvent

RAW = RawEvent(seq=0, id="", time_ns=1, duration_ns=1000, tid=1, pid=1, uid=0, arch=AUDIT_ARCH[Abi.X86_64], nr=165,
               args=(0, 0, 0, 0, 0, 0), rule=0, done=Done.CONTINUED, errno=0, texts={})


@pytest.fixture
def ring() -> Iterator[EventRing]:
    made = EventRing(64)
    yield made
    made.close()


def audited(directory: Path) -> list[str]:
    return [json.loads(line)["verdict"] for line in (directory / "audit.jsonl").read_text().splitlines()]


async def until(holds: Callable[[], object]) -> None:
    """Polls: the ring wakes its reader at most twenty times a second."""
    for _ in range(500):
        if holds():
            return
        await trio.sleep(0.01)
    raise TimeoutError


def test_calls_and_turns_of_life_stand_in_order_of_time(ring: EventRing, tmp_path: Path) -> None:
    with closing(AuditFile(str(tmp_path))) as audit:
        journal = Journal("web1", "/run/runc", ring, audit)
        ring.push(RAW)
        journal.record("start", "it starts")
        found = journal.since(0)
    assert [(seq, event.verdict) for seq, event in found] == [(1, "continue"), (1, "info")]
    assert {event.container for _, event in found} == {"web1"}
    assert [event.call for _, event in journal.since(1)] == ["start"]


def test_each_is_audited_once_and_what_went_on_is_not(ring: EventRing, tmp_path: Path) -> None:
    """A call that was carried out in Python is told by whoever did it, and stands in the ring as well."""
    async def scenario(audit: AuditFile) -> None:
        journal = Journal("web1", "/run/runc", ring, audit)
        journal.told(event_of(ring.push(replace(RAW, done=Done.EMULATED)), container="web1", root="/run/runc"))
        ring.push(replace(RAW, done=Done.DENIED, errno=1))
        ring.push(RAW)
        ring.push(replace(RAW, done=Done.FAILED, errno=5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.audit_calls)
            await until(lambda: audited(tmp_path)[-1] == "fail")
            nursery.cancel_scope.cancel()

    with closing(AuditFile(str(tmp_path))) as audit:
        trio.run(scenario, audit)
    assert audited(tmp_path) == ["emulate", "deny", "fail"]


def test_a_follower_sees_what_is_there_and_what_comes(ring: EventRing, tmp_path: Path) -> None:
    async def scenario(audit: AuditFile) -> list[str]:
        journal, seen = Journal("web1", "/run/runc", ring, audit), list[str]()
        ring.push(RAW)

        async def follow() -> None:
            async for _, event in journal.follow(0):
                seen.append(event.call)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await until(lambda: len(seen) == 1)
            journal.record("exec", "another process")
            await until(lambda: len(seen) == 2)
            ring.push(RAW)
            await until(lambda: len(seen) == 3)
            nursery.cancel_scope.cancel()
        return seen

    with closing(AuditFile(str(tmp_path))) as audit:
        assert trio.run(scenario, audit) == ["mount", "exec", "mount"]
