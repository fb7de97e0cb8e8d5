"""Which tunables the kernel keeps for a container itself: those its root may open for writing. Asked of the kernel, not of its version.

A child in a new user namespace, with new pid, network, ipc and uts namespaces, opens each; nothing is written. /proc/sys asks for the
namespaces and the user of who opens, so the host's procfs gives the container's answers.
"""
import glob
import os
from collections.abc import Sequence
from typing import NoReturn

from eci_supervisor.idmap.maps import shifted
from eci_supervisor.idmap.userns import user_namespace
from eci_supervisor.linux.namespaces import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, setns, unshare
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState
from eci_supervisor.model.tree import TreePlan
from eci_supervisor.policy.counters import LOCKED
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.numa_family import host_nodes


def plans(state: ContainerState) -> tuple[TreePlan, TreePlan]:
    """What covers the container's procfs and sysfs on this kernel, with the tunables that it has and keeps for the host. Raises OSError."""
    whole = (tree.proc_plan(state.masked, [*state.read_only, *(() if "/proc/sys" in state.read_only else (LOCKED,))]),
             tree.sysfs_plan([*state.masked, *throttles()], state.read_only, state.sysfs_read_only, host_nodes()))
    bound = tree.tunables(whole)
    there = [path for path in bound if os.path.lexists(b"/" + path)]
    virtual = set(there) - set(writable(there, state.ids) if there else [])
    others = [node for path, node in bound.items() if path not in virtual]
    return tree.without(whole[0], others), tree.without(whole[1], others)


def throttles(sys: str = "/sys") -> list[str]:
    """Of each CPU how often it was too hot: what others do on the host."""
    return glob.glob(f"{sys}/devices/system/cpu/cpu[0-9]*/thermal_throttle")


def writable(paths: Sequence[bytes], ids: IdRange) -> list[bytes]:
    """Those of `paths`, from the root of the file system without the first slash, that root of a container with `ids` may write."""
    with user_namespace(shifted(ids)) as user:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_container_root(user.fileno(), paths, write)
    os.close(write)
    with open(read, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if len(text) != len(paths):
        raise ChildProcessError(f"which tunables are the kernel's: {len(text)} answers to {len(paths)} questions")
    return [path for path, taken in zip(paths, text, strict=True) if taken]


def _be_container_root(user: int, paths: Sequence[bytes], write: int) -> NoReturn:
    """The child's whole life. Its own child is the one that is in the new pid namespace."""
    try:
        setns(user, CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            os.write(write, bytes(_may_write(b"/" + path) for path in paths))
    finally:
        os._exit(0)


def _may_write(path: bytes) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
