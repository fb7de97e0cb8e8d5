"""What the admin decided, compiled: values that create, the supervisor and the relay act by. Made by settings/, imports nothing of ours.

A `Policy` is the whole file with its defaults filled in. `Rights` are what one container's Docker socket may be used for: its image's
entry, with the global lists where the entry leaves them out. `Rights` None: no socket.
"""
from dataclasses import dataclass, field
from typing import Final

from eci_supervisor.model.call_rules import NO_RULES, CallRules

MINUTE_S = 60
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which file it was: (device, inode, size, mtime, ctime) in nanoseconds; all 0 where there is no file."""

    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0


@dataclass(frozen=True, slots=True)
class CommandList:
    """Docker's commandList: the commands denied, or with `allow` the only ones that pass.

    commands: canonical names of settings/commands.py ("container ls", "image push", "version"), wildcards and aliases expanded; where:
    its JSON path in the file.
    """

    allow: bool = False
    commands: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One line of the image lists. image: as written; key: normalised, see settings/reference.py; where: its JSON path in the file."""

    image: str
    key: str
    where: str
    allow_derived: bool
    commands: CommandList
    own_scope: bool = False
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Digests:
    """`dockerSocket.digests`, in seconds. auth_file: a config.json of docker's, "" for none."""

    refresh_s: int = 15 * MINUTE_S
    offline_s: int = 72 * HOUR_S
    superseded_s: int = 0
    auth_file: str = ""


@dataclass(frozen=True, slots=True)
class SocketRules:
    """The Docker socket. entries are empty where no container may mount it; commands: the global list, which the gateway uses too."""

    entries: tuple[ImageEntry, ...] = ()
    commands: CommandList = CommandList()
    digests: Digests = Digests()
    runtime: str = "eci-runc"
    engine: str = "/run/docker.sock"
    builds: bool = False
    engine_admin: bool = False
    max_body_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class BindRules:
    """`bindMounts`: absolute paths of the host. owner: "owner" of `idmap`, else every source is mapped by identity."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    owner: bool = True
    identity: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeRules:
    """`virtualNodes`. cpu_view: "cpuset" or "quota"; swap_view: "cgroup" or "hidden".

    most: the largest value that a write may have, by the name of the sysctl ("vm.max_map_count").
    """

    cpu_view: str = "cpuset"
    swap_view: str = "cgroup"
    most: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything in force. The defaults are those of a host without a settings file.

    file: where it was read, "" for defaults; value, locked: Docker's; mode: "eci" or "system", "" where the file leaves it to the
    runtime's arguments; learn: what only a list refuses passes and is recorded; lines: the line in the file of each JSON path in it;
    problem: why the file is not what is in force, one sentence; exceptions: False where none was ever loaded, so that a container
    which needs one (the socket, system mode) is refused with `problem`.
    """

    file: str = ""
    stamp: Stamp = Stamp()
    value: bool = False
    locked: bool = False
    mode: str = ""
    socket: SocketRules = SocketRules()
    binds: BindRules = BindRules()
    nodes: NodeRules = NodeRules()
    calls: CallRules = NO_RULES
    learn: bool = False
    audit_file: str = ""
    nested_user_namespaces: int = 256
    lines: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    problem: str = ""
    exceptions: bool = True

    def line(self, where: str) -> int:
        """Of what stands at a JSON path, or of the nearest around it that is in the file; 0 for none."""
        while where and where not in self.lines:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return self.lines.get(where, 0)


DEFAULTS: Final = Policy()


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a container, as its engine knows it: identity first, the reference is what somebody typed.

    id: sha256:…; reference: normalised, "" where it was run by id; repo_digests: `registry/path@sha256:…`, normalised; tags: likewise;
    layers: diff ids, the base's first.
    """

    id: str
    reference: str
    repo_digests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What one container's socket may be used for; DIR/c/KEY/rights.json, written by create before its supervisor starts.

    container: the engine's id; engine: path of the engine's socket; runtime: the one that is forced, "" where none is (the gateway's
    alone); image: whose rights they are; entry: the key of the entry that
    gave them ("" when learning); own_scope: it sees only what it made; gid: of the socket, as the container sees it; learn: list
    refusals pass and are recorded; file: the settings that a refusal points to; lines: in it, of the JSON paths that refusals name.
    """

    container: str
    engine: str
    runtime: str
    image: Image
    entry: str
    commands: CommandList
    own_scope: bool = False
    gid: int = 0
    builds: bool = False
    engine_admin: bool = False
    max_body_bytes: int = 4 << 20
    learn: bool = False
    file: str = ""
    lines: dict[str, int] = field(default_factory=dict)
