"""Generated sections as real filters, made by libseccomp as the runtimes make them: which call is notified, which refused."""
import subprocess
from collections.abc import Callable, Iterator
from errno import EPERM
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eci_supervisor.model.notification import Call
from eci_supervisor.model.state import Mode
from eci_supervisor.policy.profile import seccomp_section
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.support.filtered import Filtered, calls, program
from tests.support.serving import result, serving

pytestmark = pytest.mark.requires("root", "seccomp_notify")

MOUNT, UNSHARE, SETNS, SYSLOG, BPF, SETHOSTNAME = 165, 272, 308, 103, 321, 170
NOTIFIED = 77
NEWUSER = 0x10000000
BAD = 0x80 | 1  # notified for its kind of namespace, EINVAL for the rest
ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"


@pytest.fixture
def ring() -> Iterator[EventRing]:
    made = EventRing()
    yield made
    made.close()


def made(engine: dict[str, Any] | None, mode: Mode = Mode.ECI) -> bytes:
    return program(seccomp_section(engine, listener_path="/x", metadata="t", mode=mode))


def got(ring: EventRing, bpf: bytes, body: Callable[[], Any]) -> Any:  # noqa: ANN401 # what body returns
    """What a child gets under the filter; whatever is asked of Python is answered NOTIFIED."""
    async def judge(thread: ServingThread, call: Call) -> None:
        thread.answer(call.id, NOTIFIED)

    async def main() -> Any:  # noqa: ANN401 # the same
        async with serving(child, ring, judge):
            return await result(child)

    with Filtered(bpf, body) as child:
        return trio.run(main)


def notified(ring: EventRing, after: int = 0) -> list[str]:
    return [event_of(raw, container="c", root="r").rule for raw in ring.snapshot(after)]


def test_nothing_of_the_engines(ring: EventRing) -> None:
    body = calls((UNSHARE, BAD), (MOUNT, b"proc", b"/nonexistent", b"proc", 0, 0), (SYSLOG, 3, 0, 0), (BPF, 0, 0, 0), (SETHOSTNAME, 0, -1))
    assert got(ring, made(None), body) == [-22, -NOTIFIED, -EPERM, -EPERM, -22]
    assert notified(ring) == ["unshare"]


def test_an_engines_refusal_reaches_nobody(ring: EventRing) -> None:
    engine = {"defaultAction": ALLOW, "syscalls": [{"names": ["unshare", "mount"], "action": ERRNO, "errnoRet": 42}]}
    assert got(ring, made(engine), calls((UNSHARE, 0), (MOUNT, 0, 0, 0, 0, 0), (SETNS, -1, 0))) == [-42, -42, -9]
    assert notified(ring) == ["setns"]


def test_system_mode_lifts_it(ring: EventRing) -> None:
    engine = {"defaultAction": ALLOW, "syscalls": [{"names": ["unshare", "clone3", "acct"], "action": ERRNO, "errnoRet": 42}]}
    assert got(ring, made(engine, Mode.SYSTEM), calls((UNSHARE, 0), (435, 0, 0), (163, b"/nonexistent"))) == [0, -22, -42]


words = st.one_of(st.integers(0, 5), st.sampled_from([NEWUSER, NEWUSER | 1, 1 << 40, (1 << 64) - 1]))
conditions = st.builds(
    lambda index, op, value, second: {"index": index, "op": op, "value": value, "valueTwo": second & value},
    st.integers(0, 1), st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_LT", "SCMP_CMP_GT"]), words, words)


def holds(condition: dict[str, Any], args: tuple[int, ...]) -> bool:
    x, value = args[condition["index"]] & (1 << 64) - 1, condition["value"]
    match condition["op"]:
        case "SCMP_CMP_EQ":
            return bool(x == value)
        case "SCMP_CMP_LT":
            return bool(x < value)
        case "SCMP_CMP_GT":
            return bool(x > value)
        case _:
            return bool(x & value == condition["valueTwo"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions, st.lists(st.tuples(words, words), min_size=1, max_size=12))
def test_with_conditions_of_the_engines_each_value_is_refused_or_notified(
    ring: EventRing, condition: dict[str, Any], values: list[tuple[int, int]],
) -> None:
    """setns of a bad fd: EBADF where it was continued. Under a default that allows, the rest must be complete and disjoint."""
    engine = {"defaultAction": ALLOW, "syscalls": [{"names": ["setns"], "action": ERRNO, "errnoRet": 42, "args": [condition]}]}
    before = ring.last
    bodies = calls(*((SETNS, *(v - (1 << 64) if v >> 63 else v for v in args)) for args in values))
    expected = [holds(condition, args) for args in values]
    assert [errno == -42 for errno in got(ring, made(engine), bodies)] == expected
    assert len(notified(ring, before)) == expected.count(False)


INT80 = """
#include <stdio.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
static long call(long nr, const char *a, long b, long c)
{
	long ret;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(0), "D"(0) : "memory");
	return ret;
}
int main(void)
{
	/* umount, umount2, mount of a procfs, unshare: i386's numbers */
	printf("%ld %ld ", call(22, "/nonexistent", 99, 0), call(52, "/nonexistent", 2, 0));
	printf("%ld %ld\\n", call(21, "x", (long)"/nonexistent", (long)"proc"), call(310, (const char *)0x81, 0, 0));
	return 0;
}
"""


@pytest.mark.requires("i386")
def test_a_32_bit_program_meets_the_same_rules(ring: EventRing, tmp_path: Path) -> None:
    program_32 = tmp_path / "int80"
    subprocess.run(["cc", "-m32", "-static", "-x", "c", "-", "-o", str(program_32)], input=INT80, text=True, check=True)

    def body() -> str:
        return subprocess.run([str(program_32)], capture_output=True, text=True, check=False).stdout

    assert got(ring, made(None), body) == f"-{NOTIFIED} -2 -{NOTIFIED} -22\n"
    seen = [event_of(raw, container="c", root="r") for raw in ring.snapshot()]
    assert [(event.abi, event.rule) for event in seen] == [("i386", "umount2.detach"), ("i386", "unshare")]
