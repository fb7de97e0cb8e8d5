"""What the paths of the admin's rules for system calls are on this host."""
import os

from eci_supervisor.model.call_rules import CallRules, Identities
from eci_supervisor.oci.refusals import Refused
from eci_supervisor.oci.spec import Spec

VOLUME = "volume:"


def identities(calls: CallRules, spec: Spec, bundle: str) -> Identities:
    """What sources and targets are as long as the container lives; a target that it has no volume at is nothing. Raises Refused."""
    volumes = {mount.destination.rstrip("/"): os.path.join(bundle, mount.source) for mount in spec.mounts if mount.is_bind}
    for target in calls.mount_targets:
        if not target.startswith(VOLUME):
            raise Refused(f"mountTargets: {target} must be written as {VOLUME}DESTINATION: a container owns its other names")
    targets = (volumes.get(target.removeprefix(VOLUME).rstrip("/"), "") for target in calls.mount_targets)
    return Identities(
        tuple(found for path in calls.mount_sources if (found := identity(path))),
        tuple(found for path in targets if path and (found := identity(path))))


def identity(path: str) -> tuple[int, int] | None:
    """None for what is not there: then no container has it either."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
