"""What is left of a container is removed: supervisor, lease, overlay work directory, state. Run by `delete`, in a child of the fork
server, or in eci-runc itself where no server runs (import budget: no trio, asyncio, logging, subprocess).

Each step does nothing where it has been done, so that a reclaim that was killed is simply made again; the directory goes last.
"""
import os
import signal
import time
from contextlib import suppress

from eci_supervisor.idmap.leases import Leases
from eci_supervisor.life import record
from eci_supervisor.linux import process
from eci_supervisor.linux.paths import OVERLAY_WORK, ContainerDir, StateDir
from eci_supervisor.linux.removal import remove_tree
from eci_supervisor.model.state import ContainerState, StateError, container_key

SUPERVISOR_PATIENCE_S = 1.0
EXIT_PATIENCE_S = 1.0
EXIT_STEP_S = 0.01


class ReclaimFailed(RuntimeError):  # what happened, as in idmap.leases
    """One sentence: what could not be removed."""


def reclaim_at_once(state_dir: StateDir, root: str, container_id: str) -> bool:
    """Removes what is left of a container if nobody is to be waited for; else does nothing and is False. Raises ReclaimFailed."""
    key = container_key(root, container_id)
    directory = state_dir.container(key)
    try:
        state = record.load(directory)
        pids = () if state is None else ((state.init_pid, state.init_start), (state.supervisor_pid, state.supervisor_start))
        if any(process.alive(pid, start) for pid, start in pids) or not Leases(state_dir).release(key):
            return False
        _remove(directory, state)
    except (OSError, StateError) as error:
        raise ReclaimFailed(f"{container_id}: reclaim: {error}") from error
    return True


def ending_supervisor(state_dir: StateDir, root: str, container_id: str) -> int:
    """The pid of a supervisor that is about to end because its container's init has; 0 if there is none."""
    try:
        state = record.load(state_dir.container(container_key(root, container_id)))
    except (OSError, StateError):
        return 0
    if state is None or not state.init_pid or process.alive(state.init_pid, state.init_start):
        return 0
    return state.supervisor_pid if process.alive(state.supervisor_pid, state.supervisor_start) else 0


def reclaim(state_dir: StateDir, root: str, container_id: str) -> None:
    """Removes what is left of a container; succeeds where there is nothing. Raises ReclaimFailed."""
    key = container_key(root, container_id)
    directory = state_dir.container(key)
    try:
        state = record.load(directory)
        if state is not None:
            _end(state)
        if not _released(Leases(state_dir), key):
            raise ReclaimFailed(f"{container_id}: a process of the container still runs: its id range stays leased")
        _remove(directory, state)
    except (OSError, StateError) as error:
        raise ReclaimFailed(f"{container_id}: reclaim: {error}") from error


def _remove(directory: ContainerDir, state: ContainerState | None) -> None:
    if state is not None and state.overlay_work:
        _remove_work(state.overlay_work)
    remove_tree(directory.path)


def _released(leases: Leases, key: str) -> bool:
    """Gives the lease back. What was killed just now may be on its way out of the cgroup still; more patience it does not get."""
    until_s = time.monotonic() + EXIT_PATIENCE_S
    while not leases.release(key):
        _end_orphans(key)
        if time.monotonic() > until_s:
            return False
        time.sleep(EXIT_STEP_S)
    return True


def _end_orphans(key: str) -> None:
    """Ends what the real runtime had forked for a create that was killed before the runtime itself had noted it: its delete knows nothing.

    Until pivot_root, which our hook comes before, such a process has the container's own config.json among its mounts; and it has ids of
    its own, unlike a create that runs.
    """
    config = f"/c/{key}/config.json ".encode()
    for pid in process.pids():
        with suppress(OSError):
            with open(f"/proc/{pid}/uid_map", "rb") as ids, open(f"/proc/{pid}/mountinfo", "rb") as mounts:
                mine = ids.read().split()[1:2] not in ([], [b"0"]) and config in mounts.read()
            if mine:
                os.kill(pid, signal.SIGKILL)


def _end(state: ContainerState) -> None:
    # crun's delete --force returns when it has sent the signal.
    if not os.path.lexists(f"{state.root}/{state.id}"):
        # The real runtime, killed before it had noted its container, knows of none: nobody else would ever end this one.
        process.end_process(state.init_pid, state.init_start, EXIT_PATIENCE_S)
    if not process.exits(state.init_pid, state.init_start, EXIT_PATIENCE_S):
        raise ReclaimFailed(f"{state.id}: the container still runs (pid {state.init_pid}): it is not reclaimed")
    process.end_process(state.supervisor_pid, state.supervisor_start, SUPERVISOR_PATIENCE_S)


def _remove_work(path: str) -> None:
    """Our overlay's work directory. It lies in a directory of the engine's, so anything but what create makes there is left alone."""
    if os.path.basename(path) != OVERLAY_WORK or not os.path.isabs(path):
        raise ReclaimFailed(f"state.json: overlay_work is {path!r}, which create never makes: it is left where it is")
    remove_tree(path)
