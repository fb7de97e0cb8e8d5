"""What the admin's policy decides about one container before it is made: its mode, its socket, what its supervisor goes by."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eci_supervisor.linux.listening import listening_paths, socket_identity
from eci_supervisor.linux.paths import ContainerDir
from eci_supervisor.model.settings import DEFAULTS, Policy, Rights
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.claim import write_file
from eci_supervisor.oci.engine import CallingEngine, calling_engine, is_api
from eci_supervisor.oci.refusal import PolicyRefused
from eci_supervisor.oci.spec import Json, Spec
from eci_supervisor.settings.wire import policy_to_bytes, rights_to_bytes


@dataclass(frozen=True, slots=True)
class Decided:
    """policy: in force; rights: of its Docker socket, None where it mounts none."""

    policy: Policy = DEFAULTS
    rights: Rights | None = None

    def store(self, directory: ContainerDir) -> None:
        """For the supervisor, which reads them before it says ready."""
        write_file(directory.policy, policy_to_bytes(self.policy))
        if self.rights is not None:
            write_file(directory.rights, rights_to_bytes(self.rights))


NOTHING_DECIDED: Final = Decided()


def mode(policy: Policy, asked: Mode) -> Mode:
    """The file's, then the runtime's arguments', unless the file locks. Raises PolicyRefused."""
    chosen = Mode(policy.mode) if policy.mode else Mode.ECI if policy.locked else asked
    if chosen is Mode.SYSTEM and not policy.exceptions:
        raise PolicyRefused(f"enhanced container isolation: {policy.problem}", "settings.invalid", "")
    return chosen


def decided(spec: Spec, policy: Policy, directory: ContainerDir, right: Callable[[str], Rights]) -> tuple[Spec, Decided]:
    """The spec with the relay's socket in place of the engine's, and the decision.

    `right` asks whose image it is, and is called only if the engine's socket is wanted, by whatever of its paths; with that path where
    the engine that calls is not the one that the settings name. Raises PolicyRefused.
    """
    sockets = socket_mounts(spec)
    configured = socket_identity(policy.socket.engine) if sockets else None
    callers = _sockets_of(calling_engine(spec)) if sockets else frozenset()
    wanted = tuple(index for index, one in sockets.items() if one == configured or one in callers or not policy.exceptions)
    if not wanted:
        return spec, Decided(policy)
    if not policy.exceptions:  # nor is it known which socket is the engine's
        raise PolicyRefused(f"enhanced container isolation: {policy.problem}", "settings.invalid", "")
    rights = right("" if configured in callers or not callers else spec.mounts[wanted[0]].source)
    return with_sources(spec, wanted, directory.docker_socket), Decided(policy, rights)


def _sockets_of(engine: CallingEngine) -> frozenset[tuple[int, int]]:
    return frozenset(filter(None, map(socket_identity, filter(is_api, listening_paths(engine.pid)))))


def socket_mounts(spec: Spec) -> dict[int, tuple[int, int]]:
    """The binds of sockets, by index, whatever path they are reached by. What changes until it is bound is judged again then."""
    found = ((index, socket_identity(mount.source)) for index, mount in enumerate(spec.mounts) if mount.is_bind)
    return {index: one for index, one in found if one is not None}


def with_sources(spec: Spec, indices: tuple[int, ...], source: str) -> Spec:
    """The spec with another source of these mounts."""
    mounts = spec.get("mounts")
    changed: list[Json] = []
    for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        changed.append({**mount, "source": source} if index in indices and isinstance(mount, dict) else mount)
    return spec.put("mounts", value=changed)
