"""All that is known of one container, as one JSON object."""
import os
from dataclasses import asdict

from eci_supervisor.control import client, listing
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.linux import process
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.state import ContainerState
from eci_supervisor.model.tree import TreePlan
from eci_supervisor.procfs import native

LOG_LINES = 10
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")


def inspect(state_dir: StateDir, state: ContainerState) -> dict[str, object]:
    """Record, status, supervisor, lease, namespaces, trees, log. What cannot be asked is None; the token is nobody's to see."""
    directory = state_dir.container(state.key)
    recorded = {name: value for name, value in asdict(state).items() if name != "token"}
    row = listing.row(state)
    lease = next((asdict(one) for one in Leases(state_dir).listing() if one.key == state.key), None)
    return {
        "id": state.id, "status": row.status.value, "up_s": row.up_s,
        "state": {**recorded, "mode": state.mode.value},
        "supervisor": _supervisor(directory, state),
        "lease": lease,
        "namespaces": _namespaces(state.init_pid) if row.up_s is not None else None,
        "trees": [_tree(plan) for plan in native.plans(state)],
        "log": _log(directory),
    }


def _supervisor(directory: ContainerDir, state: ContainerState) -> dict[str, object] | None:
    if not process.alive(state.supervisor_pid, state.supervisor_start):
        return None
    try:
        live: object = client.inspect(directory)
    except client.Unanswered as error:
        live = {"error": str(error)}
    return {"pid": state.supervisor_pid, "private_kib": private_kib(state.supervisor_pid), "live": live}


def private_kib(pid: int) -> int | None:
    """Memory that a process shares with nobody. Source: Documentation/filesystems/proc.rst, smaps_rollup."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith((b"Private_Clean", b"Private_Dirty")))
    except (OSError, ValueError, IndexError):
        return None


def _namespaces(pid: int) -> dict[str, str]:
    found = {}
    for name in NAMESPACES:
        try:
            found[name] = os.readlink(f"/proc/{pid}/ns/{name}")
        except OSError:
            continue
    return found


def _tree(plan: TreePlan) -> dict[str, object]:
    covers: dict[str, list[str]] = {}
    for entry in plan.entries:
        covers.setdefault(entry.cover.name.lower(), []).append("/" + os.fsdecode(entry.path))
    return {"of": plan.kind.value.decode(), "read_only": plan.read_only, **covers}


def _log(directory: ContainerDir) -> list[str]:
    try:
        with open(f"{directory.path}/log", encoding="ascii", errors="backslashreplace") as file:
            return file.read().splitlines()[-LOG_LINES:]
    except OSError:
        return []
