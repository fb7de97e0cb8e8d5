"""Mounts in a container whose admin has rules for them, from the caller's mount(2) to its answer, against the call notified and continued.

The serving thread makes them itself (native/lane.c): a bind under a rule for sources, a tmpfs under a rule for types. What is listed is on
another device than the source, as a host's directories are from a container's root; "same device": each look goes up to the root of the
mount. A plain bind without any rule is asked about too, and continued. Nested: in a mount namespace of the caller's own, and in a user
namespace of its own, where a tmpfs is the mounter's. Umounts are not counted.
"""
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.harness import P50, Bench, Round, UnavailableError, Variant, ratio
from bench.micro.proc_mount import MS_BIND, Loop, by_supervisor, timed
from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.listed import Listed
from tests.kernel.contained import CLONE_NEWNS, CLONE_NEWUSER, MS_REC, Task, unshare

SOURCES, TYPES = CallRules(mount_sources=("/srv",)), CallRules(mount_types=MountTypes(types=("ramfs",)))
OWN, NESTED, USERS = 0, CLONE_NEWNS, CLONE_NEWNS | CLONE_NEWUSER
COUNT = 100


def binds(count: int, namespaces: int, flags: int) -> list[float]:
    unshare(namespaces)
    return timed(((b"/b", b"/a", None, flags),), b"/a", count, 0)


def tmpfs(count: int, namespaces: int, flags: int) -> list[float]:
    unshare(namespaces)
    return timed(((b"bench", b"/a", b"tmpfs", flags),), b"/a", count, 0)


Body = Callable[[int, int, int], list[float]]


@contextmanager
def mounting(body: Body, namespaces: int, flags: int, rules: CallRules, *, near: bool = False) -> Iterator[Round]:
    """near: what is listed is on the container's own device."""
    if os.geteuid() != 0:
        raise UnavailableError("not root")

    def once() -> Sequence[float]:
        task: Task = loop.container.start(body, COUNT, namespaces, flags, notified=("mount", "umount2"))
        assert task.listener is not None
        device = os.stat(f"/proc/{loop.container.init}/root").st_dev if near else 1 << 40
        with task, by_supervisor(loop, task.listener, rules, Listed(sources=frozenset({(device, 1 << 40)}))):
            task.go()
            taken: list[float] = task.result()
        return taken

    with ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)
        yield once


def bind(name: str, namespaces: int, rules: CallRules, limit: float | None, *, near: bool = False) -> Bench:
    return Bench(name, goals=() if limit is None else (ratio(P50, limit),),
                 ours=Variant("by us", lambda: mounting(binds, namespaces, MS_BIND, rules, near=near)),
                 reference=Variant("notified and continued", lambda: mounting(binds, namespaces, MS_BIND | MS_REC, NO_RULES)))


def new(name: str, namespaces: int, limit: float | None) -> Bench:
    return Bench(name, goals=() if limit is None else (ratio(P50, limit),),
                 ours=Variant("by us", lambda: mounting(tmpfs, namespaces, 0, TYPES)),
                 reference=Variant("notified and continued", lambda: mounting(tmpfs, namespaces, 0, NO_RULES)))


BENCHES = (
    bind("bind under a rule", OWN, SOURCES, 2.0),
    bind("bind under a rule, same device", OWN, SOURCES, None, near=True),
    bind("bind under a rule, nested", NESTED, SOURCES, 4.0),
    bind("bind under a rule, nested users", USERS, SOURCES, 4.0),
    new("tmpfs under a rule", OWN, 2.0),
    new("tmpfs under a rule, nested", NESTED, 4.0),
    new("tmpfs under a rule, nested users", USERS, None),
    bind("plain bind, no rule", OWN, NO_RULES, None),
    bind("plain bind, no rule, nested users", USERS, NO_RULES, None),
)
