"""What is left of a container is removed: supervisor, lease, overlay work directory, state. Run by `delete`, in a child of the fork
server, or in eci-runc itself where no server runs (import budget: no trio, asyncio, logging, subprocess).

Each step does nothing where it has been done, so that a reclaim that was killed is simply made again; the directory goes last.
"""
import os
import stat
from contextlib import suppress

from eci_supervisor.idmap.leases import Leases
from eci_supervisor.life import record
from eci_supervisor.linux import process
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.state import ContainerState, StateError, container_key

SUPERVISOR_PATIENCE_S = 1.0
MAX_DEPTH = 64  # overlayfs' own work directory has three levels; a whiteout's copy none
O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ReclaimFailed(RuntimeError):  # what happened, as in idmap.leases
    """One sentence: what could not be removed."""


def reclaim(state_dir: StateDir, root: str, container_id: str) -> None:
    """Removes what is left of a container; succeeds where there is nothing. Raises ReclaimFailed."""
    key = container_key(root, container_id)
    directory = state_dir.container(key)
    try:
        state = record.load(directory)
        if state is not None:
            _end(state)
        if not Leases(state_dir).release(key):
            raise ReclaimFailed(f"{container_id}: a process of the container still runs: its id range stays leased")
        if state is not None and state.overlay_work:
            _remove_work(state.overlay_work)
        remove_tree(directory.path)
    except (OSError, StateError) as error:
        raise ReclaimFailed(f"{container_id}: reclaim: {error}") from error


def _end(state: ContainerState) -> None:
    if process.alive(state.init_pid, state.init_start):
        raise ReclaimFailed(f"{state.id}: the container still runs (pid {state.init_pid}): it is not reclaimed")
    process.end_process(state.supervisor_pid, state.supervisor_start, SUPERVISOR_PATIENCE_S)


def _remove_work(path: str) -> None:
    """Our overlay's work directory. It lies in a directory of the engine's, so anything but what create makes there is left alone."""
    if not os.path.basename(path).startswith("eci-") or not os.path.isabs(path):
        raise ReclaimFailed(f"state.json: overlay_work is {path!r}, which create never makes: it is left where it is")
    remove_tree(path)


def remove_tree(path: str) -> None:
    """Removes a directory and what is below it, by fds from the parent down: no link is followed, wherever it is put meanwhile.

    Nothing there is success. Raises OSError; ELOOP below MAX_DEPTH levels.
    """
    with suppress(FileNotFoundError):
        parent = os.open(os.path.dirname(path), O_DIRECTORY)
        try:
            _remove_below(parent, os.path.basename(path), MAX_DEPTH)
        finally:
            os.close(parent)


def _remove_below(parent: int, name: str, levels: int) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if levels == 0:
        raise OSError(40, "too deep to be removed", name)
    directory = os.open(name, O_DIRECTORY, dir_fd=parent)
    try:
        for inner in os.listdir(directory):
            _remove_below(directory, inner, levels - 1)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)
