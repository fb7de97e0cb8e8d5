"""Mounts in a container whose admin has rules for them, from the caller's mount(2) to its answer, against the call notified and continued.

A bind under a rule for sources is looked up by the mounter, looked at by the supervisor's Python in a thread, and made by the mounter; a
tmpfs under a rule for types takes the same two steps without a look. A plain bind without any rule is asked about too, and continued.
Umounts are not counted.
"""
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import trio

from bench.harness import Bench, Round, UnavailableError, Variant
from bench.micro.proc_mount import CLONE_NEWNS, MS_BIND, Loop, timed
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.event import Event
from eci_supervisor.model.listed import Listed
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.kernel.contained import MS_REC, Task, unshare

SOURCES, TYPES = CallRules(mount_sources=("/srv",)), CallRules(mount_types=MountTypes(types=("ramfs",)))
LISTED = Listed(sources=frozenset({(1 << 40, 1)}))  # never met, so each look goes up to the root of the mount
COUNT = 100


def binds(count: int, flags: int) -> list[float]:
    unshare(CLONE_NEWNS)
    return timed(((b"/b", b"/a", None, flags),), b"/a", count, 0)


def tmpfs(count: int, flags: int) -> list[float]:
    unshare(CLONE_NEWNS)
    return timed(((b"bench", b"/a", b"tmpfs", flags),), b"/a", count, 0)


@contextmanager
def served(loop: Loop, listener: OwnedFd, rules: CallRules) -> Iterator[None]:
    """What a supervisor with these rules does, in the loop."""
    ring = EventRing()
    thread, events = ServingThread(listener, ring, calls=rules, lane=loop.mounter.lane.fileno()), list[Event]()
    effects = Effects(loop.mounter, ring, events.append, container="bench", root="", calls=rules, listed=lambda: LISTED)
    serving = threading.Thread(target=lambda: trio.from_thread.run(thread.run, effects.on(thread), trio_token=loop.token))
    serving.start()
    yield
    serving.join()  # the caller has ended, so the listener hung up
    ring.close()


@contextmanager
def mounting(body: Callable[[int, int], list[float]], flags: int, rules: CallRules) -> Iterator[Round]:
    if os.geteuid() != 0:
        raise UnavailableError("not root")

    def once() -> Sequence[float]:
        task: Task = loop.container.start(body, COUNT, flags, notified=("mount",))
        assert task.listener is not None
        with task, served(loop, task.listener, rules):
            task.go()
            taken: list[float] = task.result()
        return taken

    with ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)
        yield once


CONTINUED = Variant("notified and continued", lambda: mounting(binds, MS_BIND | MS_REC, NO_RULES))
BENCHES = (
    Bench("bind under a rule", ours=Variant("judged by its source", lambda: mounting(binds, MS_BIND, SOURCES)), reference=CONTINUED),
    Bench("tmpfs under a rule", ours=Variant("of a judged type", lambda: mounting(tmpfs, 0, TYPES)),
          reference=Variant("notified and continued", lambda: mounting(tmpfs, 0, NO_RULES))),
    Bench("plain bind, no rule", ours=Variant("asked and continued", lambda: mounting(binds, MS_BIND, NO_RULES)), reference=CONTINUED),
)
