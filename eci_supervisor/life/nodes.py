"""The virtual nodes of one container: which it has, where they begin, and whom a store is told."""
import os
from dataclasses import dataclass

import trio

from eci_supervisor.life.log import Log
from eci_supervisor.life.record import policy
from eci_supervisor.linux import mount_api
from eci_supervisor.linux.mount_flags import MNT_DETACH
from eci_supervisor.linux.namespaces import CLONE_NEWNS, unshare
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.state import ContainerState, Mode
from eci_supervisor.model.tree import TreePlan
from eci_supervisor.observe.journal import Journal
from eci_supervisor.procfs import fuse_library, native, tree
from eci_supervisor.procfs.bounded import bounded
from eci_supervisor.procfs.cpu_view import CpuView
from eci_supervisor.procfs.identity import identity
from eci_supervisor.procfs.pressure_files import PressureFiles
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.snapshots import Snapshots
from eci_supervisor.procfs.stores import Stored, Stores
from eci_supervisor.procfs.tunable_files import TunableFiles
from eci_supervisor.procfs.tunables import Tunables, split_sysctls
from eci_supervisor.procfs.view import View

NOT_EFFECTIVE = "a tunable is the container's own; the host's value stays, and the kernel goes by that"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The virtual files of the container, mounted below `mountpoint`; `sysctls` are those of the spec that the kernel keeps."""

    mountpoint: str
    view: View
    tunables: TunableFiles | None
    sampler: Sampler
    plans: tuple[TreePlan, TreePlan]
    sysctls: tuple[tuple[bytes, bytes], ...]

    @property
    def requests(self) -> int:
        """How many the kernel has made."""
        return self.view.requests + (self.tunables.requests if self.tunables else 0)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answers until cancelled; says started when both answer. Raises NotServingError, OSError."""
        async with trio.open_nursery() as nursery:
            if self.tunables:
                await nursery.start(self.tunables.serve)
            await nursery.start(self.view.serve)
            task_status.started()

    def close(self) -> None:
        """Ends both connections, so that every node is ENOTCONN from now on, and unmounts what mount_nodes mounted. Raises OSError."""
        self.view.close()
        if self.tunables:
            self.tunables.close()
        mount_api.umount(self.mountpoint, MNT_DETACH)


def mount_nodes(state_dir: StateDir, state: ContainerState, journal: Journal, log: Log) -> Nodes:
    """Mounts the nodes in a mount namespace of our own. Raises OSError, ValueError."""
    plans = native.plans(state)
    rules = policy(state_dir.container(state.key)).nodes
    bound = bounded(tree.tunables(plans), rules.most)
    virtual, kept = split_sysctls(state.sysctls, bound)

    def fault(what: str, error: Exception) -> None:
        log.warning(f"{what}: {error}: readers see the last value")

    def stored(what: Stored) -> None:
        journal.record("tunable_not_effective", NOT_EFFECTIVE, {
            "node": os.fsdecode(what.node), "old": ascii(what.old), "new": ascii(what.new), "host": ascii(what.host)},
            pid=what.pid, uid=what.uid)

    hidden = state.mode is Mode.SYSTEM or rules.swap_view == "hidden"
    sampler = Sampler(swap_hidden=hidden, cpu_view=CpuView(rules.cpu_view), identity=identity(state.id, state.token),
                      disks=state.disks, on_fault=fault)
    sampler.shown_until_s = fuse_library.shown_until_s
    snapshots = Snapshots(sampler, fault)
    view, tunables = View(snapshots, state.ids.start), None
    if bound:
        values = Tunables(state_dir.container(state.key).tunables, bound, virtual)
        tunables = TunableFiles(Stores(values, sampler, stored, fault), PressureFiles(snapshots, sampler), state.ids.start)
        plans = (tree.with_triggers(plans[0]), plans[1])
    unshare(CLONE_NEWNS)
    mount_api.mount("none", "/", "", mount_api.MS_REC | mount_api.MS_SLAVE)  # what the host unmounts is unmounted here too
    mount_both(state_dir.staging, view, tunables)
    return Nodes(state_dir.staging, view, tunables, sampler, plans, kept)


def mount_both(directory: str, view: View, tunables: TunableFiles | None) -> None:
    """Mounts on `nodes` and `tunables` of a tmpfs at `directory`: the mounter knows them by these names. Raises OSError."""
    mount_api.mount("none", directory, "tmpfs", mount_api.MS_NOSUID | mount_api.MS_NODEV | mount_api.MS_NOEXEC)
    for name, files in (("nodes", view), ("tunables", tunables)):
        os.mkdir(f"{directory}/{name}")
        if files is not None:
            files.mount(f"{directory}/{name}")
