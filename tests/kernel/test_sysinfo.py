"""sysinfo(2) from the container's sample: when it is taken, what is written, who waits for whom."""
import ctypes
import mmap
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from errno import EFAULT, EIO
from typing import Any

import pytest
import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.machine import MachineInfo
from eci_supervisor.seccomp.machine import Machine
from eci_supervisor.seccomp.ring import Done, EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.support.filtered import LIBC, Filtered, notifying, syscall
from tests.support.serving import result

pytestmark = pytest.mark.requires("root", "seccomp_notify")
NR_SYSINFO, SIZE, FOREVER_NS = 99, 112, 1 << 62
WORDS = (77, 65536, 32768, 1, 1 << 33, 2 << 20, 3 << 20, 0, 5 << 20, 6 << 20, 9, 0, 0, 1)
INFO = MachineInfo(FOREVER_NS, struct.pack("=14Q", *WORDS), bytes(64))


@pytest.fixture
def ring() -> Iterator[EventRing]:
    with closing(EventRing()) as made:
        yield made


def ask() -> bytes | int:
    """What the call writes, or -errno."""
    area = ctypes.create_string_buffer(b"\xff" * SIZE, SIZE)
    got = syscall(NR_SYSINFO, ctypes.addressof(area))
    return got or area.raw


def served(ring: EventRing, body: Callable[[], Any], current: Callable[[], MachineInfo] | None) -> Any:  # noqa: ANN401 # what body returns
    """The result of `body` in a child whose sysinfo calls are served; without `current` nobody takes samples."""

    async def run() -> Any:  # noqa: ANN401
        with closing(Machine()) as machine, trio.fail_after(30), Filtered(notifying(["sysinfo"]), body) as child:
            async with trio.open_nursery() as nursery:
                thread = ServingThread(OwnedFd(child.listener.steal()), ring, machine=machine)
                nursery.start_soon(thread.run, nobody)
                async with trio.open_nursery() as taking:
                    if current:
                        taking.start_soon(machine.serve, current)
                    got = await result(child)
                    child.kill()
                    taking.cancel_scope.cancel()
        return got

    return trio.run(run)


async def nobody(call: object) -> None:
    raise AssertionError(f"Python was asked: {call}")


def test_what_is_written(ring: EventRing) -> None:
    got = served(ring, ask, lambda: INFO)
    words = [int.from_bytes(got[at:at + 8], "little") for at in range(0, SIZE, 8)]
    assert tuple(words) == WORDS
    [event] = ring.snapshot()
    assert (event.done, event.errno, event.nr) == (Done.EMULATED, 0, NR_SYSINFO)
    assert ring.snapshot(continued=False) == []


def test_a_sample_is_taken_when_the_last_is_over(ring: EventRing) -> None:
    taken: list[int] = []

    def current() -> MachineInfo:
        taken.append(len(taken))
        return replace(INFO, until_ns=time.monotonic_ns() + 200_000_000, wide=bytes([len(taken)]) * SIZE)

    def body() -> list[int]:
        seen = []
        for pause_s in (0.0, 0.0, 0.3, 0.0):
            time.sleep(pause_s)
            got = ask()
            assert isinstance(got, bytes)
            seen.append(got[0])
        return seen

    assert served(ring, body, current) == [1, 1, 2, 2]
    assert len(taken) == 2


def test_pointers_to_nothing(ring: EventRing) -> None:
    def body() -> list[int]:
        area = mmap.mmap(-1, 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        LIBC.mprotect(ctypes.c_void_p(address + mmap.PAGESIZE), mmap.PAGESIZE, mmap.PROT_READ)
        return [syscall(NR_SYSINFO, where) for where in (0, 8, -4096, address + mmap.PAGESIZE, address + mmap.PAGESIZE - 8, address)]

    assert served(ring, body, lambda: INFO) == [-EFAULT] * 5 + [0]


def test_without_a_sample_it_fails_soon(ring: EventRing) -> None:
    begin = time.monotonic()
    assert served(ring, ask, None) == -EIO
    assert time.monotonic() - begin < 10


def test_an_expired_sample_is_not_told() -> None:
    """Another node has been rendered from a newer one."""
    with closing(EventRing()) as ring:
        values = iter((INFO, replace(INFO, wide=bytes([78]) * SIZE)))

        async def run() -> list[int]:
            def body() -> list[int]:
                seen = []
                for _ in range(2):
                    got = ask()
                    assert isinstance(got, bytes)
                    seen.append(got[0])
                    time.sleep(0.3)
                return seen

            with closing(Machine()) as machine, trio.fail_after(30), Filtered(notifying(["sysinfo"]), body) as child:
                async with trio.open_nursery() as nursery:
                    thread = ServingThread(OwnedFd(child.listener.steal()), ring, machine=machine)
                    nursery.start_soon(thread.run, nobody)
                    async with trio.open_nursery() as taking:
                        taking.start_soon(machine.serve, lambda: next(values))
                        child.go()
                        await ring.wait_beyond(0)
                        machine.expire()
                        await trio.lowlevel.wait_readable(child.fileno())
                        got: list[int] = child.result()
                        child.kill()
                        taking.cancel_scope.cancel()
            return got

        assert trio.run(run) == [77, 78]
