"""Which ids a container gets: a leased range, those that its spec brings, or those of the container whose namespaces it joins.

A namespace can be used with all rights only from the user namespace that owns it. So a container that joins another's network, ipc
or pid namespace (a pod, `--network=container:`) joins that container's user namespace, and with it its ids.
"""
import os

from eci_supervisor.idmap.leases import Leases
from eci_supervisor.idmap.userns import NamespaceOwner, OwnerKind, owner_of
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.ids import IdRange
from eci_supervisor.oci.refusals import Refused, own_maps
from eci_supervisor.oci.spec import Spec


class Identities:
    """A container's range, and the user namespace it joins: an fd that must stay open until the real runtime has opened it by path."""

    def __init__(self, ids: IdRange, user: OwnedFd | None = None) -> None:
        self.range = ids
        self._user = user

    @property
    def joins(self) -> str:
        """A path of the user namespace, "" where the container has one of its own."""
        return "" if self._user is None else f"/proc/{os.getpid()}/fd/{self._user.fileno()}"

    def close(self) -> None:
        if self._user is not None:
            self._user.close()


def identities(spec: Spec, leases: Leases, key: str, caller: tuple[int, int]) -> Identities:
    """Records `key`'s reference to its range; `caller`: pid and start time of the eci-runc that makes the container.

    Raises Refused, PoolExhausted, FileExistsError.
    """
    creator = {"creator_pid": caller[0], "creator_start": caller[1]}
    owner = joined(spec)
    if owner is not None and owner.maps is not None:
        extents = owner.maps.uids
        if len(extents) != 1 or extents != owner.maps.gids or extents[0].inside != 0:
            raise Refused("the user namespace of the namespaces to join is none of eci-runc's: its maps are not one range")
        try:
            return Identities(leases.join(extents[0].outside, key, **creator), owner.user)
        except KeyError:
            raise Refused(f"the namespaces to join belong to a user namespace of the ids {extents[0].outside} and up, "
                          "which no container of eci-runc has") from None
    brought = own_maps(spec)
    if brought is None:
        return Identities(leases.take(key, **creator))
    leases.hold(brought, key, **creator)
    return Identities(brought)


def joined(spec: Spec) -> NamespaceOwner | None:
    """Who owns the namespaces that the spec names by path; None if they are nobody's but the host's. Raises Refused for two owners."""
    found: dict[tuple[int, int], NamespaceOwner] = {}
    for namespace in spec.namespaces:
        if not namespace.path:
            continue
        try:
            owner = owner_of(namespace.path)
        except OSError as error:
            raise Refused(f"error in the container spec: {namespace.path} is no {namespace.type} namespace: {error.strerror}") from None
        if owner.kind is OwnerKind.OTHER and owner.identity is not None:
            found.setdefault(owner.identity, owner)
    if len(found) > 1:
        raise Refused("the namespaces to join belong to containers of different user namespaces: no user namespace could use both")
    return next(iter(found.values()), None)
