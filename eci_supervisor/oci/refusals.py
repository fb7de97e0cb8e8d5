"""What is refused at create, one sentence each. Pure: a Spec and what was looked up of the host go in.

The texts of shared namespaces are Docker's for Enhanced Container Isolation, so that what users find about those is right here too.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field

from eci_supervisor.model.ids import IdRange
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.spec import Spec

MAX_ID = 65535
REASON = "(because they use the linux user-namespace for isolation)"
INVALID = "error in the container spec: invalid or unsupported container spec: eci-runc containers can't share"
PROC_NAMES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net", "cgroup": "cgroup", "mount": "mnt", "user": "user",
              "time": "time"}  # fmt: skip
NEEDED = ("pid", "ipc", "uts")
WHOLE_MAP = (0, 0, 4294967295)
CAP_SYS_ADMIN = 21
ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")  # as runc has it


class Refused(ValueError):
    """One sentence: this container is not made."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A namespace, by device and inode of its file in nsfs."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the host says: the host's namespaces by the spec's names, and those that the spec names by path (None: there is none)."""

    host: Mapping[str, frozenset[Identity]] = field(default_factory=dict)
    named: Mapping[str, Identity | None] = field(default_factory=dict)


def check_process(status: str, uid_map: str) -> None:
    """That a process is root of the host; both texts as in its directory of /proc. Raises Refused."""
    found = {name: rest.split() for name, _, rest in (line.partition(":") for line in status.splitlines())}
    check_host(int(found["Uid"][1]), uid_map, int(found["CapEff"][0], 16))


def check_host(uid: int, uid_map: str, capabilities: int) -> None:
    """`uid_map` as /proc/self/uid_map has it, `capabilities` the effective set. Raises Refused."""
    if uid != 0 or tuple(int(word) for word in uid_map.split()) != WHOLE_MAP or not capabilities >> CAP_SYS_ADMIN & 1:
        raise Refused("eci-runc must be called by root of the host, in the initial user namespace and with all capabilities")


def check_command(line: CommandLine) -> None:
    """Raises Refused."""
    if line.command in ("checkpoint", "restore"):
        raise Refused(f"{line.command} is not possible here: neither locked mounts nor a seccomp listener can be restored")
    if line.switched("no-pivot"):
        raise Refused("--no-pivot is not possible here: it keeps the host's procfs in the container's mount namespace")
    if line.command in ("create", "run", "exec") and not (set(line.id) <= ID_CHARACTERS and line.id.strip(".")):
        raise Refused(f'{line.command} needs a container id of letters, digits and "_+-.", not "{line.id}"')


def check_spec(spec: Spec, facts: Facts, pool: tuple[IdRange, ...]) -> None:
    """`pool`: the ranges that leases are taken from. Raises Refused."""
    _check_namespaces(spec, facts)
    _check_maps(spec, pool)
    if too_large := [number for number in spec.process_ids if not 0 <= number <= MAX_ID]:
        raise Refused(f"process.user names the id {too_large[0]}, a container's ids end at {MAX_ID}")


def own_maps(spec: Spec) -> IdRange | None:
    """The range of a spec that brings its own maps, None if it brings none. Raises Refused for what is no plain range."""
    maps = (spec.id_maps("uidMappings"), spec.id_maps("gidMappings"))
    if not any(maps):
        return None
    if len(maps[0]) != 1 or maps[0] != maps[1] or maps[0][0].container != 0:
        raise Refused("its own id maps (linux.uidMappings, gidMappings) are not one and the same range from container id 0 on")
    return IdRange(maps[0][0].host, maps[0][0].size)


def _check_namespaces(spec: Spec, facts: Facts) -> None:
    for kind, identity in facts.named.items():
        if identity is None:
            path = next((ns.path for ns in spec.namespaces if ns.type == kind), "")
            raise Refused(f"error in the container spec: the {kind} namespace {path} is not there")
    shared = [kind for kind in NEEDED if _is_hosts(kind, spec, facts)]
    if shared:
        raise Refused(f"{INVALID} namespaces [{' '.join(shared)}] with the host {REASON}")
    if _is_hosts("network", spec, facts):
        raise Refused(f"{INVALID} a network namespace with the host {REASON}")
    for kind in ("cgroup", "user", "time"):
        if kind in facts.named and _is_hosts(kind, spec, facts):
            raise Refused(f"{INVALID} a {kind} namespace with the host {REASON}")
    mount = spec.namespace("mount")
    if mount is None or mount.path:
        raise Refused("error in the container spec: eci-runc containers need a new mount namespace, it is what locks their mounts")


def _is_hosts(kind: str, spec: Spec, facts: Facts) -> bool:
    """By omission, or by a path that leads to the host's: Docker's --network=host is a bind of it below the engine's directory."""
    if kind in facts.named:
        return facts.named[kind] in facts.host.get(kind, frozenset())
    return spec.namespace(kind) is None


def _check_maps(spec: Spec, pool: tuple[IdRange, ...]) -> None:
    ids = own_maps(spec)
    if ids is None:
        return
    if ids.start <= 0 or ids.count < 1:
        raise Refused("its own id maps (linux.uidMappings) contain host id 0: take a range that is nobody's on the host, or leave them out")
    if taken := next((part for part in pool if part.overlaps(ids)), None):
        raise Refused(f"its own id maps (linux.uidMappings {ids.start}-{ids.end - 1}) overlap the ids {taken.start}-{taken.end - 1} that "
                      'eci-runc leases: leave them out, or move the line "eci" in /etc/subuid and /etc/subgid')
