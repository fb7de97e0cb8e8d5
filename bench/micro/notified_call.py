"""One notified call, answered: unshare(0) continued by the serving thread with the full table, against the tightest C loop.

Both have a caller of their own under the same filter. The busy row is about the GIL: a Python thread of this process computes 20 ms
of every 40 while either side is measured, so that both have the same cores to share with it.

The rows of several threads are bursts: what native/flood.c does to threads that never stop is the last row's, which has no goal.
"""
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pyseccomp
import trio

from bench.build import built
from bench.harness import P50, P99, Bench, Round, UnavailableError, Variant, ratio
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import receive_with_fds
from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.notification import Call
from eci_supervisor.policy.chosen import notified
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread

SOURCE = Path(__file__).with_suffix(".c")
BUSY_S = IDLE_S = 0.02


@cache
def bpf() -> bytes:
    """The filter of a container without a profile of its own: every call of the table notified."""
    built = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in sorted(notified(CallRules()) - {"umount"}):  # umount is i386's alone
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), call) >= 0:  # libseccomp may be older than the call
            built.add_rule(pyseccomp.NOTIFY, call)
    with tempfile.TemporaryFile() as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read()


@contextmanager
def calling() -> Iterator[tuple[OwnedFd, Callable[[int, int, int], Sequence[float]]]]:
    """A caller's listener, and a function of count, pause in µs and threads that gives what each call took."""
    if os.geteuid() != 0:
        raise UnavailableError("not root")
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(bpf())
        file.seek(0)
        child = subprocess.Popen([built(SOURCE), "caller", str(theirs.fileno())], stdin=file, pass_fds=[theirs.fileno()])
        theirs.close()
        _, fds, _ = receive_with_fds(ours, 1, 1)

        def calls(count: int, pause_us: int, threads: int) -> Sequence[float]:
            ours.sendall(struct.pack("=III", count, pause_us, threads))
            taken = b""
            while len(taken) < count * 8:
                taken += ours.recv(1 << 20)
            return [ns / 1e9 for ns in struct.unpack(f"={count}Q", taken)]

        try:
            yield fds[0], calls
        finally:
            child.kill()
            child.wait()


@contextmanager
def served(listener: OwnedFd) -> Iterator[None]:
    """A serving thread, its trio loop in a thread beside."""
    ring = EventRing()
    thread = ServingThread(listener, ring)

    async def nobody(call: Call) -> None:
        raise AssertionError(f"unshare asks nobody: {call}")

    loop = threading.Thread(target=trio.run, args=(thread.run, nobody))
    loop.start()
    yield
    loop.join()  # the caller was killed, so the listener hung up
    ring.close()


@contextmanager
def busy() -> Iterator[None]:
    """Python code that holds the GIL BUSY_S, then rests IDLE_S, and so on."""
    over = threading.Event()

    def compute() -> None:
        while not over.wait(IDLE_S):
            until = time.perf_counter() + BUSY_S
            while time.perf_counter() < until:
                pass

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def serving_thread(count: int, pause_us: int, threads: int = 1) -> Iterator[Round]:
    with ExitStack() as ended:  # the caller first: the serving thread ends when its listener hangs up
        caller = ExitStack()
        listener, calls = caller.enter_context(calling())
        ended.enter_context(served(listener))
        ended.enter_context(caller)
        yield lambda: calls(count, pause_us, threads)


@contextmanager
def tight_loop(count: int, pause_us: int, threads: int = 1) -> Iterator[Round]:
    with calling() as (listener, calls):
        loop = subprocess.Popen([built(SOURCE), "loop", str(listener.fileno())], pass_fds=[listener.fileno()])
        listener.close()
        try:
            yield lambda: calls(count, pause_us, threads)
        finally:
            loop.kill()
            loop.wait()


@contextmanager
def while_busy(side: Callable[[int, int], AbstractContextManager[Round]], count: int, pause_us: int) -> Iterator[Round]:
    with side(count, pause_us) as once, busy():
        yield once


BURST = 480


def threads_row(name: str, count: int, threads: int) -> Bench:
    return Bench(name, ours=Variant("serving thread", lambda: serving_thread(count, 0, threads)),
                 reference=Variant("C loop", lambda: tight_loop(count, 0, threads)))


BENCHES = (
    Bench("answered call, hot", goals=(ratio(P50, 1.10),),
          ours=Variant("serving thread", lambda: serving_thread(20_000, 0)), reference=Variant("C loop", lambda: tight_loop(20_000, 0))),
    Bench("answered call, 1 ms apart", goals=(ratio(P50, 1.10),),
          ours=Variant("serving thread", lambda: serving_thread(400, 1000)), reference=Variant("C loop", lambda: tight_loop(400, 1000))),
    Bench("answered call, Python busy", goals=(ratio(P99, 3.0),),
          ours=Variant("serving thread", lambda: while_busy(serving_thread, 20_000, 0)),
          reference=Variant("C loop", lambda: tight_loop(20_000, 0))),
    *(threads_row(f"answered call, {threads} thread{'s' * (threads > 1)}, a burst", BURST, threads) for threads in (1, 4, 16)),
    threads_row("answered call, 16 threads without end", 16_000, 16),
)
