"""Mounts in a container whose admin has rules for them, from the caller's mount(2) to its answer, against the call notified and continued.

A bind under a rule for sources is looked up by the mounter, looked at by the supervisor's Python in a thread, and made by the mounter; a
tmpfs under a rule for types takes the same two steps without a look. A plain bind without any rule is asked about too, and continued.
Umounts are not counted.
"""
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.harness import Bench, Round, UnavailableError, Variant
from bench.micro.proc_mount import CLONE_NEWNS, MS_BIND, Loop, by_supervisor, timed
from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.listed import Listed
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
def mounting(body: Callable[[int, int], list[float]], flags: int, rules: CallRules) -> Iterator[Round]:
    if os.geteuid() != 0:
        raise UnavailableError("not root")

    def once() -> Sequence[float]:
        task: Task = loop.container.start(body, COUNT, flags, notified=("mount",))
        assert task.listener is not None
        with task, by_supervisor(loop, task.listener, rules, LISTED):
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
