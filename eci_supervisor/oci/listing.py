"""What `syscalls.mountSources` and `mountTargets` mean in one container: its volumes, as they are opened, against the admin's paths."""
import os
from collections.abc import Iterable

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.listed import Device, Identity, Listed
from eci_supervisor.oci.places import Entry, Located, contained, inside
from eci_supervisor.oci.refusal import PolicyRefused
from eci_supervisor.oci.restricted import Restrictions
from eci_supervisor.oci.spec import Mount

VOLUME = "volume:"


class Listing:
    """Collects them: `note` for each bind that is cloned."""

    def __init__(self, calls: CallRules, restrictions: Restrictions) -> None:
        self._calls, self._restrictions = calls, restrictions
        self._entries: tuple[Entry, ...] | None = None
        self._sources: set[Identity] = set()
        self._targets: set[Identity] = set()
        self._devices: set[Device] = set()
        self._mounts = 0

    def note(self, fd: OwnedFd, mount: Mount) -> None:
        """A bind's source, opened."""
        if not (self._calls.mount_sources or self._calls.mount_targets):
            return
        source = self._restrictions.located(fd)
        if is_target(mount, self._calls.mount_targets):
            self._targets.add(source.identity)
        found = self._listed()
        if inside(source, self._restrictions.above(source.path), found) or contained(
                source, self._restrictions.carried(source.path), found):
            self._add(source)
            self._mounts += 1

    def result(self) -> Listed:
        """What all of it comes to."""
        above = set[Identity]()
        for entry in self._listed():
            above.update(one.identity for one in entry.above)
            if entry.itself is not None:
                self._add(entry.itself)
        return Listed(frozenset(self._sources), frozenset(above), frozenset(self._targets), frozenset(self._devices), self._mounts)

    def _add(self, source: Located) -> None:
        self._sources.add(source.identity)
        self._devices.add(source.place.device)

    def _listed(self) -> tuple[Entry, ...]:
        if self._entries is None:
            self._entries = tuple(self._restrictions.listed(self._calls.mount_sources))
        return self._entries


def is_target(mount: Mount, targets: Iterable[str]) -> bool:
    """Whether the admin's rule is about that volume."""
    return any(os.path.normpath(f"/{mount.destination}") == os.path.normpath(f"/{one.removeprefix(VOLUME)}") for one in targets)


def refuse_unknown(mounts: Iterable[Mount], calls: CallRules) -> None:
    """What the runtime mounts itself has no identity yet. Raises PolicyRefused."""
    for mount in mounts:
        if not mount.is_bind and is_target(mount, calls.mount_targets):
            raise PolicyRefused(f"enhanced container isolation: eci.syscalls.mountTargets: {mount.destination} of this container is a "
                                f"{mount.type}, no volume: nothing can hold to it there", "settings.invalid", "eci.syscalls.mountTargets")
