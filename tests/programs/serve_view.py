"""Serves a container's virtual nodes: python -m tests.programs.serve_view DIR UID [hidden]. Obeys lines on stdin, answers each with one.

DIR/m/nodes and DIR/m/tunables are mount points, in a mount namespace of its own; DIR/tunables.json keeps the tunables. `ready` comes
first.

attach PID      the container's init; answers `attached`
requests        how many requests the kernel has made
stores          the stores told since the last time, one after the other
"""
import ctypes
import os
import sys
from functools import partial

import trio

from eci_supervisor.life.nodes import Nodes, mount_both
from eci_supervisor.procfs import fuse_library, tree
from eci_supervisor.procfs.pressure_files import PressureFiles
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.snapshots import Snapshots
from eci_supervisor.procfs.stores import Stored, Stores
from eci_supervisor.procfs.tunable_files import TunableFiles
from eci_supervisor.procfs.tunables import Tunables
from eci_supervisor.procfs.view import View

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def private_mounts() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None):
        raise OSError(ctypes.get_errno(), "a private mount namespace")


def fault(what: str, error: Exception) -> None:
    print(f"{what}: {error!r}", file=sys.stderr)


async def obey(nodes: Nodes, stores: list[Stored]) -> None:
    async for line in trio.wrap_file(sys.stdin):
        match line.split():
            case ["attach", pid]:
                nodes.sampler.attach(int(pid))
                answer = "attached"
            case ["requests"]:
                answer = str(nodes.requests)
            case ["stores"]:
                answer = repr([(s.node, s.old, s.new, s.host, s.pid, s.uid) for s in stores])
                stores.clear()
            case words:
                answer = f"what is {words}?"
        print(answer, flush=True)


async def main(directory: str, uid: int, hidden: bool) -> None:
    stores: list[Stored] = []
    sampler = Sampler(swap_hidden=hidden, on_fault=fault)
    values = Tunables(f"{directory}/tunables.json", tree.TUNABLES, {})
    sampler.shown_until_s = fuse_library.shown_until_s
    snapshots = Snapshots(sampler, fault)
    view = View(snapshots, uid)
    tunables = TunableFiles(Stores(values, sampler, stores.append, fault), PressureFiles(snapshots, sampler), uid)
    mount_both(f"{directory}/m", view, tunables)
    nodes = Nodes(f"{directory}/m", view, tunables, sampler, (tree.proc_plan([], []), tree.sysfs_plan([], [], False)), ())
    async with trio.open_nursery() as nursery:
        await nursery.start(nodes.serve)
        print("ready", flush=True)
        await obey(nodes, stores)
        nursery.cancel_scope.cancel()
    view.close()
    tunables.close()
    sampler.close()


if __name__ == "__main__":
    private_mounts()
    os.makedirs(f"{sys.argv[1]}/m", exist_ok=True)
    trio.run(partial(main, sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["hidden"]))
