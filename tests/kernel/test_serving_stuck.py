"""The serving thread and a caller whose memory never comes."""
import ctypes
import mmap
import os
from errno import EIO

import pytest
import trio

from eci_supervisor.seccomp.ring import EventRing
from tests.support.filtered import calls, syscall
from tests.support.serving import child, events, kept, result, serving

pytestmark = pytest.mark.requires("root", "seccomp_notify")

MOUNT, UNSHARE, USERFAULTFD = 165, 272, 323


def stuck_page() -> int:
    """A page whose content never comes (userfaultfd)."""
    fault = syscall(USERFAULTFD, 0)
    assert fault > 0
    memory = kept(mmap.mmap(-1, 4096))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    api = (ctypes.c_uint64 * 3)(0xAA, 0, 0)
    region = (ctypes.c_uint64 * 4)(address, 4096, 1, 0)  # UFFDIO_REGISTER_MODE_MISSING
    assert syscall(16, fault, 0xC018AA3F, ctypes.addressof(api)) == 0  # UFFDIO_API
    assert syscall(16, fault, 0xC020AA00, ctypes.addressof(region)) == 0  # UFFDIO_REGISTER
    return address


def test_memory_that_never_comes_costs_its_caller_a_second(ring: EventRing) -> None:
    """EIO for the one, and its own listener waits; the listener of another process does not."""
    def slow() -> tuple[int, float]:
        address = stuck_page()
        before = os.times().elapsed
        return syscall(MOUNT, b"s", b"/t", address, 0, None), os.times().elapsed - before

    async def main() -> tuple[tuple[int, float], list[int]]:
        async with serving(one, ring):
            async with serving(other, ring):
                one.go()
                await trio.sleep(0.2)
                others = await result(other)
            await trio.lowlevel.wait_readable(one.fileno())
            return one.result(), others

    with child(slow) as one, child(calls((UNSHARE, 0))) as other:
        (got, took_s), others = trio.run(main)
    assert (got, others) == (-EIO, [0])
    assert 0.9 < took_s < 5
    assert [(event.verdict, event.call) for event in events(ring)] == [("continue", "unshare"), ("fail", "mount")]
