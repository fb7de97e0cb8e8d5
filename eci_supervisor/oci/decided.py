"""What the admin's policy decides about one container before it is made: its mode, its socket, what its supervisor goes by."""
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eci_supervisor.linux.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, openat2
from eci_supervisor.linux.paths import ContainerDir
from eci_supervisor.model.settings import DEFAULTS, Policy, Rights
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.claim import write_file
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


def decided(spec: Spec, policy: Policy, directory: ContainerDir, right: Callable[[], Rights]) -> tuple[Spec, Decided]:
    """The spec with the relay's socket in place of the engine's, and the decision.

    `right` asks whose image it is, and is called only if the engine's socket is wanted. Raises PolicyRefused.
    """
    sockets = socket_mounts(spec)
    engine = identity(policy.socket.engine) if sockets else None
    wanted = tuple(index for index, one in sockets.items() if one == engine or not policy.exceptions)
    if not wanted:
        return spec, Decided(policy)
    if not policy.exceptions:  # nor is it known which socket is the engine's
        raise PolicyRefused(f"enhanced container isolation: {policy.problem}", "settings.invalid", "")
    rights = right()
    return with_sources(spec, wanted, directory.docker_socket), Decided(policy, rights)


def socket_mounts(spec: Spec) -> dict[int, tuple[int, int]]:
    """The binds of sockets, by index, whatever path they are reached by. What changes until it is bound is judged again then."""
    found = ((index, identity(mount.source)) for index, mount in enumerate(spec.mounts) if mount.is_bind)
    return {index: one for index, one in found if one is not None}


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a socket; None for what is none, or not there: staging says what is wrong with it."""
    try:
        with openat2(AT_FDCWD, path, os.O_PATH, RESOLVE_NO_MAGICLINKS) as fd:
            found = os.stat(fd.fileno())
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def with_sources(spec: Spec, indices: tuple[int, ...], source: str) -> Spec:
    """The spec with another source of these mounts."""
    mounts = spec.get("mounts")
    changed: list[Json] = []
    for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        changed.append({**mount, "source": source} if index in indices and isinstance(mount, dict) else mount)
    return spec.put("mounts", value=changed)
