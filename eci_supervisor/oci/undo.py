"""Giving back what a container had: when create fails, when run ends, and for delete where no fork server answers."""
from eci_supervisor.forkserver import client
from eci_supervisor.forkserver.reclaim import reclaim
from eci_supervisor.linux.paths import StateDir


def give_back(state_dir: StateDir, root: str, container_id: str) -> None:
    """Supervisor, lease and directories, by the fork server where one runs. Raises ForkServerError, ReclaimFailed: one sentence."""
    try:
        client.reclaim(state_dir, root, container_id)
    except client.NoServerError:
        reclaim(state_dir, root, container_id)
