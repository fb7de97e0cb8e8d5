"""Whether a container may have a Docker socket, and which: its image is asked of the engine, and judged by the image lists."""
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import Policy, Rights
from eci_supervisor.oci.refusal import PolicyRefused


def right_of(container: str, policy: Policy, state_dir: StateDir) -> Rights:
    """Raises PolicyRefused: no container has a relay yet."""
    del container, state_dir
    raise PolicyRefused('enhanced container isolation: docker socket mount denied for container with image "unknown"; image is not in the '
                        "allowed list; if you wish to allow it, configure the docker socket image list in " + policy.file,
                        "socket.image", "")
