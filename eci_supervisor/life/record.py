"""state.json on disk: read by everybody, replaced whole, so that a reader never sees half of one. And the policy beside it."""
import json
import os
from collections.abc import Sequence
from dataclasses import asdict

from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.model.settings import DEFAULTS, Policy
from eci_supervisor.model.state import ContainerState, LateBind, StateError
from eci_supervisor.settings.wire import policy_from_bytes


def load(directory: ContainerDir) -> ContainerState | None:
    """None if there is no such container. Raises StateError, OSError."""
    try:
        with open(directory.state, "rb") as file:
            return ContainerState.from_bytes(file.read())
    except FileNotFoundError:
        return None


def store(directory: ContainerDir, state: ContainerState) -> None:
    """Replaces state.json. Raises FileNotFoundError when the container has been removed meanwhile."""
    fresh = f"{directory.state}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # a write(2) on a disk that fills up may be a short one, and no error
        file.write(state.to_bytes())
    os.rename(fresh, directory.state)


def policy(directory: ContainerDir) -> Policy:
    """What the admin decided when the container was made; the defaults for one that was made without. Raises WireError, OSError."""
    try:
        with open(directory.policy, "rb") as file:
            return policy_from_bytes(file.read())
    except FileNotFoundError:
        return DEFAULTS


def store_late_binds(directory: ContainerDir, binds: Sequence[LateBind]) -> None:
    """Before the real runtime starts: the supervisor reads them when its hook runs."""
    if binds:
        fd = os.open(directory.late_binds, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(json.dumps([asdict(bind) for bind in binds]).encode())


def load_late_binds(directory: ContainerDir) -> tuple[LateBind, ...]:
    """Raises ValueError, TypeError for anything that store_late_binds does not write; OSError."""
    try:
        with open(directory.late_binds, "rb") as file:
            return tuple(LateBind(**bind) for bind in json.loads(file.read()))
    except FileNotFoundError:
        return ()


def store_listed(directory: ContainerDir, listed: Listed) -> None:
    """As late binds."""
    if listed != NOTHING_LISTED:
        fd = os.open(directory.listed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(json.dumps(asdict(listed), default=sorted).encode())


def load_listed(directory: ContainerDir) -> Listed:
    """Raises ValueError, TypeError for anything that store_listed does not write; OSError."""
    try:
        with open(directory.listed, "rb") as file:
            mounts, raw = _listed(**json.loads(file.read()))
        return Listed(mounts=mounts, **{name: frozenset((device, inode) for device, inode in found) for name, found in raw.items()})
    except FileNotFoundError:
        return NOTHING_LISTED


def _listed(mounts: int, **identities: list[tuple[int, int]]) -> tuple[int, dict[str, list[tuple[int, int]]]]:
    return mounts, identities


def load_all(state_dir: StateDir) -> list[ContainerState]:
    """Every container of the state directory, oldest first; one that is being removed, or that nobody can read, is left out."""
    found = []
    try:
        keys = sorted(os.listdir(state_dir.containers))
    except FileNotFoundError:
        return []
    for key in keys:
        try:
            state = load(state_dir.container(key))
        except (StateError, NotADirectoryError):
            continue
        if state is not None:
            found.append(state)
    return sorted(found, key=lambda state: state.created)
