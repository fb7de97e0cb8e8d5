"""What the paths of the admin's rules for system calls are on this host."""
import os
from collections.abc import Iterable

from eci_supervisor.model.call_rules import CallRules, Identities
from eci_supervisor.oci.spec import Spec


def identities(calls: CallRules, spec: Spec, bundle: str) -> Identities:
    """What sources and targets are as long as the container lives; a target that it has no volume at is nothing."""
    volumes = {mount.destination.rstrip("/"): os.path.join(bundle, mount.source) for mount in spec.mounts if mount.is_bind}
    targets = [volumes[target.rstrip("/")] for target in calls.mount_targets if target.rstrip("/") in volumes]
    return Identities(_there(calls.mount_sources), _there(targets))


def _there(paths: Iterable[str]) -> tuple[tuple[int, int], ...]:
    return tuple(found for path in paths if (found := identity(path)))


def identity(path: str) -> tuple[int, int] | None:
    """None for what is not there: then no container has it either."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
