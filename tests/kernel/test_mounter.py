"""The mounter against the kernel: a container made by hand (contained.py), a tmpfs in place of the FUSE mount."""
import errno
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from eci_supervisor.linux.process import start_time
from eci_supervisor.model.emulation import Caller, MounterGone
from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.model.verdict import MountTree
from eci_supervisor.mounts import wire
from eci_supervisor.mounts.mounter import PROGRAM, LocksBroken, Mounter
from tests.kernel import mounting
from tests.kernel.contained import FIRST_ID, ROOT, Contained, LaneMounter, mount, nodes, receive, served, supervised
from tests.support.host import processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "seccomp_notify")
Body = Callable[[Mounter, Contained], Awaitable[None]]


@asynccontextmanager
async def started(*options: str) -> AsyncIterator[Mounter]:
    root = nodes(mounting.NODES)
    try:
        kind = LaneMounter if "lane" in options else Mounter
        mounter = await kind.start(root, *(option for option in options if option != "lane"))
    finally:
        os.close(root)
    try:
        yield mounter
    finally:
        mounter.close()


@asynccontextmanager
async def contained(*options: str, proc: TreePlan = mounting.PROC) -> AsyncIterator[tuple[Mounter, Contained]]:
    """A container with its first trees, pivoted; options are the mounter's."""
    async with started(*options) as mounter:
        await mounter.plan(proc)
        await mounter.plan(mounting.SYSFS)
        with Contained() as container:
            await mounter.container(container.init, tmpfs=True)
            sysctls = [(b"kernel.domainname", b"inside"), (b"kernel.msgmax", b"4096"), (b"net/ipv4/conf/lo/forwarding", b"1"),
                       (b"net.ipv4.ip_unprivileged_port_start", b"0")]
            await mounter.attach_first(ROOT.encode(), [LateBind(f"{ROOT}/ro", "/run/late")], sysctls)
            container.pivot()
            await mounter.prove()
            if "lane" in options:
                await trio.lowlevel.wait_readable(mounter.lanes[0])
            yield mounter, container


def run(body: Body, *options: str, proc: TreePlan = mounting.PROC) -> None:
    async def main() -> None:
        async with contained(*options, proc=proc) as (mounter, container):
            await body(mounter, container)

    trio.run(main)


@pytest.fixture(params=["", "without-pidns", "lane", "lane without-pidns"])
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """As this kernel is, and as one without procfs' pidns= option; the mounter asked for all of it, and as supervisors use it."""
    return tuple(request.param.split())


def test_first_trees(options: tuple[str, ...]) -> None:
    async def body(mounter: Mounter, container: Contained) -> None:
        assert container.run(mounting.look_around) == mounting.LOOKED_AROUND
        mounter.close()  # what holds, holds without it
        assert container.run(mounting.recipe) == mounting.RECIPE

    run(body, *options)


def test_read_only_path_above_a_node() -> None:
    async def body(_: Mounter, container: Contained) -> None:
        assert container.run(mounting.opened, "/proc/sys/vm/overcommit_memory") == "EROFS"
        assert container.run(mounting.read, "/proc/sys/vm/overcommit_memory") == "7\n"

    run(body, proc=mounting.READ_ONLY_SYS)


@pytest.mark.parametrize(("target", "at"), [("/a", "/a"), ("/a/", "/a"), ("../a", "/a"), ("//tmp/.././b/.", "/b"),
                                            ("/proc/self/root/a", "/a"), ("/proc/thread-self/cwd/../a", "/a"), ("/proc", "/proc")])
def test_mount_of_a_procfs(target: str, at: str, options: tuple[str, ...]) -> None:
    async def body(mounter: Mounter, container: Contained) -> None:
        seen, outcomes = await supervised(mounter, container, mounting.mounted, target, 0, None, at)
        assert seen == ("ok", mounting.VIRTUAL)
        assert [(outcome.errno, outcome.uid) for outcome in outcomes] == [(0, FIRST_ID)]

    run(body, *options)


@pytest.mark.parametrize(("where", "form"), [
    (mounting.mounted_on_descriptor, "/proc/self/fd/%d"), (mounting.mounted_on_descriptor, "/proc/thread-self/fd/%d"),
    (mounting.mounted_on_descriptor, "/dev/fd/%d"), (mounting.mounted_on_descriptor, "/dev/link/%d/../a"),
    (mounting.mounted_on_descriptor, "/proc/self/task/../fd/%d/"), (mounting.in_thread, "/proc/thread-self/fd/%d"),
])
def test_mount_on_a_descriptor(where: Callable[..., object], form: str, options: tuple[str, ...]) -> None:
    """Those of a thread that has its own table are its own, not its process's."""
    async def body(mounter: Mounter, container: Contained) -> None:
        seen, _ = await supervised(mounter, container, where, form)
        assert seen == ("ok", mounting.VIRTUAL, ["ok", "EINVAL"])

    run(body, *options)


@pytest.mark.parametrize(("function", "expected"), [
    (mounting.errors, mounting.ERRORS), (mounting.sysfs, mounting.SYSFS_SEEN), (mounting.remounts, mounting.REMOUNTS),
    (mounting.inner_runtime, mounting.INNER_RUNTIME), (mounting.umounts, mounting.UMOUNTS), (mounting.with_options, mounting.WITH_OPTIONS),
    (mounting.without_capability, ["ENOENT", "EPERM", "EPERM", "EPERM", "EPERM", "[]"]),
    (mounting.jailed, ["ok", "ok", "ENOENT", mounting.VIRTUAL, "ok", "ok", "[]"]),
    (mounting.nested_with_pids, repr(["ok", "ok", "ok", mounting.VIRTUAL, mounting.VIRTUAL, "1", "EINVAL", "ok"])),
    (mounting.nested_without_pids, ["EPERM", "EPERM", "EPERM"]),
], ids=lambda value: getattr(value, "__name__", "seen"))
def test_in_the_container(function: Callable[[], object], expected: object, options: tuple[str, ...]) -> None:
    async def body(mounter: Mounter, container: Contained) -> None:
        seen, _ = await supervised(mounter, container, function)
        assert seen == expected

    run(body, *options)


def test_a_clone_with_flags_of_its_own() -> None:
    """open_tree_attr(2), as if libseccomp knew it; and without a supervisor: what locks refuse they refuse, and no node is uncovered."""
    async def body(mounter: Mounter, container: Contained) -> None:
        seen, _ = await supervised(mounter, container, mounting.clones_with_flags, notified=("open_tree_attr", "umount2"))
        assert seen == mounting.CLONES_SEEN
        assert container.run(mounting.clone, 1, 1) == -errno.EINVAL

    run(body)


def test_more_clones_than_are_kept() -> None:
    """All show the nodes; of those that are held open without being attached the mounter keeps the last 32 attachable."""
    async def body(mounter: Mounter, container: Contained) -> None:
        seen, _ = await served(mounter, container, mounting.many_clones, 33, notified=("open_tree",))
        assert seen == [33, "EINVAL", "ok", "ok"]

    run(body)


def test_caller_killed_before_it_is_answered() -> None:
    """The tree is detached again: nothing of it is in the namespace that the caller shared with others."""
    async def body(mounter: Mounter, container: Contained) -> None:
        with container.start(mount, b"proc", b"/a", b"proc", 0, notified=("mount",)) as task:
            assert task.listener is not None
            listener = task.listener.fileno()
            task.go()
            notified = await trio.to_thread.run_sync(receive, listener)
            os.kill(notified.tid, signal.SIGKILL)
            await trio.to_thread.run_sync(wait_until, lambda: start_time(notified.tid) is None, "the caller's end")
            outcome = await mounter.emulate(MountTree(TreeKind.PROC, b"/a", 0, b""), Caller(listener, notified.id, notified.tid))
        assert outcome.undone
        assert outcome.errno == errno.ENOENT
        assert container.run(os.listdir, "/a") == []

    run(body)


def test_walk_that_hangs(options: tuple[str, ...]) -> None:
    """A target inside a FUSE that never answers costs its caller two seconds, and nobody after it anything."""
    async def body(mounter: Mounter, container: Contained) -> None:
        container.run(mounting.hung_fuse)
        seen, outcomes = await supervised(mounter, container, mounting.mounted_at, "/b/x")
        assert (seen, [outcome.errno for outcome in outcomes]) == ("EIO", [errno.EIO])
        seen, _ = await supervised(mounter, container, mounting.mounted, "/a")
        assert seen == ("ok", mounting.VIRTUAL)

    run(body, *options)


def test_mounter_killed() -> None:
    async def main() -> None:
        async with started() as mounter:
            children = {int(pid) for pid in mounting.read(f"/proc/self/task/{os.getpid()}/children").split()}
            (pid,) = [pid for pid in children if mounting.read(f"/proc/{pid}/comm") == "eci-mounter\n"]
            os.kill(pid, signal.SIGKILL)
            with trio.fail_after(5):
                await mounter.wait_dead()
            with pytest.raises(MounterGone):
                await mounter.plan(mounting.PROC)

    trio.run(main)


def test_locks_that_do_not_hold() -> None:
    """A procfs in the namespace without locked children makes the kernel allow fresh ones: the proof says so."""
    async def main() -> None:
        async with started() as mounter:
            await mounter.plan(mounting.PROC)
            await mounter.plan(mounting.SYSFS)
            with Contained(own_procfs=True) as container:
                await mounter.container(container.init)
                await mounter.attach_first(ROOT.encode(), [], [])
                container.pivot()
                with pytest.raises(LocksBroken, match="proc"):
                    await mounter.prove()

    trio.run(main)


def test_junk_is_refused() -> None:
    """Nothing that is not a whole request does anything; the next request is served."""
    good = wire.plan_request(mounting.PROC)
    junk = [b"", b"x", good[:-1], good + b"x", good[:63], b"\xff" * 200, wire.request(wire.Kind.PLAN, []),
            wire.request(wire.Kind.PLAN, [(1, b"../x", b"")]), wire.request(wire.Kind.PLAN, [(1, b"/x", b"")]),
            wire.request(wire.Kind.PLAN, [(9, b"x", b"")]), wire.request(wire.Kind.PLAN, [(1, b"x" * 300, b"")]),
            wire.request(wire.Kind.PLAN, [(1, b"x", b"")], tree=2), wire.request(wire.Kind.PROVE), wire.request(wire.Kind.CONTAINER),
            wire.request(wire.Kind.EMULATE, [(1, b"/a", b"")], pid=1), struct.pack("=IIQQIIiIQQQ", 99, *[0] * 10)]

    async def main() -> None:
        async with started() as mounter:
            for packet in junk[1:]:
                assert (await mounter.ask(packet)).error == errno.EBADMSG, packet
            left, right = socket.socketpair()
            with left, right:
                assert (await mounter.ask(good, left.fileno())).error == 0

    trio.run(main)


def test_errors_name_their_object() -> None:
    async def main() -> None:
        async with started() as mounter:
            with pytest.raises(OSError, match="no-such-node"):
                await mounter.plan(TreePlan(TreeKind.PROC, (Entry(b"no-such-node", Cover.NODE, 1),)))
            with pytest.raises(OSError, match="init 999999999"):
                await mounter.container(999999999)
            await mounter.plan(mounting.PROC)
            await mounter.plan(mounting.SYSFS)
            with Contained() as container:
                await mounter.container(container.init)
                with pytest.raises(OSError, match="Bad message"):
                    await mounter.container(container.init)

    trio.run(main)


def test_j05_no_child_outlives_a_mounter_that_was_killed_while_it_made_one() -> None:
    """The next child is born behind each reply, which is when a supervisor that ends kills its mounter."""
    before = {process.pid for process in processes(programs=PROGRAM.parent)}

    async def main() -> None:
        for _ in range(40):
            async with started() as mounter:
                await mounter.plan(mounting.SYSFS)

    trio.run(main)
    wait_until(lambda: not {process.pid for process in processes(programs=PROGRAM.parent)} - before, "no child is left", 2.0)
