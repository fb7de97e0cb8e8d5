"""admin-settings.json as types: Docker's section field for field, and `eci` beside it. The one importer of pydantic.

Strict: no text for a number, no unknown key inside the two sections. A field's description is its line in `eci policy schema`.
"""
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from eci_supervisor.settings.names import is_floor_call, is_known_call, kind_of
from eci_supervisor.settings.reference import MalformedReference, parse_entry

DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Section(BaseModel):
    """What all objects of the file have in common."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel, frozen=True)


def seconds(text: str) -> int:
    """`90s`, `15m`, `72h`, `2d` in seconds. Raises ValueError."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError('use a whole number with s, m, h or d: "15m"')
    return int(match[1]) * SECONDS[match[2]]


def _duration(text: str) -> str:
    seconds(text)
    return text


def _refresh(text: str) -> str:
    if seconds(text) < 120:
        raise ValueError('use at least "2m"')
    return text


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError('use an absolute path: "/home"')
    return path


def _audit(path: str) -> str:
    if not re.fullmatch(r"/.+/audit\.jsonl", path):
        raise ValueError('use an absolute path that ends in /audit.jsonl: files before it are kept beside it')
    return path


def _image(text: str) -> str:
    try:
        parse_entry(text)
    except MalformedReference as error:
        raise ValueError(str(error)) from None
    return text


def _target(text: str) -> str:
    if not text.startswith("volume:/"):
        raise ValueError('use "volume:" and a destination in the container: "volume:/data". Other paths inside are the container\'s own')
    return text


def _call(name: str) -> str:
    if not is_known_call(name):
        raise ValueError("no system call of any ABI here has this name")
    return name


def _floor_call(name: str) -> str:
    if not is_floor_call(name):
        raise ValueError("only a call of the floor can be allowed: what the engine's profile refuses stays refused")
    return name


def _kind(name: str) -> str:
    if not kind_of(name):
        raise ValueError('use "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" or "time"')
    return name


Duration = Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"pattern": f"^{DURATION.pattern}$"})]
Refresh = Annotated[str, AfterValidator(_refresh), Field(json_schema_extra={"pattern": f"^{DURATION.pattern}$"})]
Absolute = Annotated[str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": "^/"})]
AuditPath = Annotated[str, AfterValidator(_audit), Field(json_schema_extra={"pattern": "^/.+/audit\\.jsonl$"})]
ImageText = Annotated[str, AfterValidator(_image)]
Target = Annotated[str, AfterValidator(_target), Field(json_schema_extra={"pattern": "^volume:/"})]
Call = Annotated[str, AfterValidator(_call)]
FloorCall = Annotated[str, AfterValidator(_floor_call)]
Kind = Annotated[str, AfterValidator(_kind)]


class ImageList(Section):
    """Which images' containers may mount the engine's socket."""

    images: tuple[ImageText, ...] = Field(default=(), strict=False, description="Images whose containers may mount the socket: docker:cli, "
                                          "testcontainers/ryuk:*, alpine@sha256:…, or * for all.")  # fmt: skip
    allow_derived_images: bool = Field(default=True, description="Images built from a listed one may, too.")


class Commands(Section):
    """Docker's commandList."""

    type: Literal["deny", "allow"] = Field(default="deny", description="deny: the commands are refused. allow: only they pass.")
    commands: tuple[str, ...] = Field(default=(), strict=False, description="As `docker --help` shows them; container* means a group.")


class SocketMount(Section):
    """Docker's dockerSocketMount."""

    image_list: ImageList = ImageList()
    command_list: Commands = Commands()


class Isolation(Section):
    """Docker's section."""

    value: bool = Field(default=False, description="Enhanced Container Isolation is on.")
    locked: bool = Field(default=False, description="Users cannot change value, nor what is below.")
    docker_socket_mount: SocketMount | None = Field(default=None, description="Absent: no container may mount the socket.")


class ImageRights(Section):
    """An image with rights of its own."""

    image: Annotated[str, AfterValidator(_image)] = Field(description="As in imageList, or id:sha256:… for a local image.")
    scope: Literal["own", "all"] = Field(default="all", description="own: it sees only what it made itself.")
    allow_derived_images: bool | None = Field(default=None, description="Absent: as imageList has it.")
    gid: int = Field(default=0, ge=0, le=65535, description="Group of the socket in the container.")
    command_list: Commands | None = Field(default=None, description="Absent: the global one.")


class DigestRules(Section):
    """How long what a registry said is good."""

    refresh: Refresh = Field(default="15m", description="Ask the registry again after; at least 2m.")
    offline: Duration = Field(default="72h", description="How long the last answer is good while the registry is out of reach.")
    superseded: Duration = Field(default="0s", description="How long a digest stays good after the tag moved on.")
    auth_file: Absolute | None = Field(default=None, description="Credentials, as docker's config.json.")


class DockerSocket(Section):
    """What Docker has no field for."""

    images: tuple[ImageRights, ...] = Field(default=(), strict=False, description="Images with rights of their own.")
    digests: DigestRules = DigestRules()
    runtime: str = Field(default="eci-runc", min_length=1, description="The runtime that the relay forces.")
    engine: Absolute = Field(default="/run/docker.sock", description="The engine's socket.")
    builds: bool = Field(default=False, description="Builds, where the engine runs their steps under this runtime.")
    engine_admin: bool = Field(default=False, description="Swarm, services, plugins, and the engine's own administration.")
    max_body_bytes: int = Field(default=4 << 20, ge=64 << 10, le=64 << 20, description="The largest JSON body.")


class BindMounts(Section):
    """Which host paths containers may bind, and whose ids they show."""

    allowed: tuple[Absolute, ...] = Field(default=(), strict=False, description="Empty: whatever is not restricted.")
    denied: tuple[Absolute, ...] = Field(default=(), strict=False, description="Restricted, beside the built-in list.")
    read_only: tuple[Absolute, ...] = Field(default=(), strict=False, description="Read-only alone, beside the built-in list.")
    idmap: Literal["identity", "owner"] = Field(default="owner", description="owner: container root is the source's owner.")
    identity: tuple[Absolute, ...] = Field(default=(), strict=False, description="Sources whose ids are shown as they are on disk.")


class Audit(Section):
    """What is recorded, and whether lists refuse."""

    mode: Literal["enforce", "learn"] = Field(default="enforce", description="learn: what only a list refuses passes and is recorded.")
    file: AuditPath | None = Field(default=None, description="DIR/audit.jsonl; absent: /var/log/eci/audit.jsonl.")


class VirtualNodes(Section):
    """What /proc and /sys show."""

    cpu_view: Literal["cpuset", "quota"] = Field(default="cpuset", description="quota: as many CPUs as the quota pays.")
    swap_view: Literal["cgroup", "hidden"] = Field(default="cgroup", description="hidden: no swap at all.")
    max: dict[str, int] = Field(default_factory=dict, description="The largest value of a virtual sysctl: a write above it is EINVAL.")


class Limits(Section):
    """Counted by the kernel."""

    nested_user_namespaces: int = Field(default=256, ge=0, le=65536, description="user.max_user_namespaces of a container.")


class MountTypeList(Section):
    """File systems of new mounts."""

    type: Literal["deny", "allow"] = "deny"
    list: tuple[str, ...] = Field(default=(), strict=False)


class Syscalls(Section):
    """Rules on system calls."""

    trap: Literal["all", "needed"] = Field(default="all", description="needed: the filter passes what the kernel's locks decide anyway.")
    floor: Literal["default", "none"] = Field(default="default", description="Calls that even --privileged does not open.")
    deny: tuple[Call, ...] = Field(default=(), strict=False, description="EPERM, beside the floor.")
    allow: tuple[FloorCall, ...] = Field(default=(), strict=False, description="Taken from the floor.")
    mknod: bool = Field(default=False, description="mknod of null, zero, full, random, urandom, tty binds the container's own.")
    mount_types: MountTypeList = MountTypeList()
    mount_sources: tuple[Absolute, ...] = Field(default=(), strict=False, description="Host paths that may not be bound again inside.")
    mount_targets: tuple[Target, ...] = Field(default=(), strict=False, description="volume:DESTINATION: nothing may be mounted there.")
    namespaces: tuple[Kind, ...] = Field(default=(), strict=False, description="Kinds that may not be made inside.")
    nested_depth: int = Field(default=32, ge=0, le=32, description="Of user namespaces below the container's own.")


class Eci(Section):
    """What Docker has no field for."""

    mode: Literal["eci", "system"] | None = Field(default=None, description="Absent: eci, or as the runtime's arguments say.")
    bind_mounts: BindMounts = BindMounts()
    docker_socket: DockerSocket = DockerSocket()
    audit: Audit = Audit()
    virtual_nodes: VirtualNodes = VirtualNodes()
    limits: Limits = Limits()
    syscalls: Syscalls = Syscalls()


class Settings(Section):
    """The whole file. Docker's other settings are not read."""

    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=to_camel, frozen=True)
    configuration_file_version: Literal[2] = Field(default=2, description="2, or left out.")
    enhanced_container_isolation: Isolation = Isolation()
    eci: Eci = Eci()


WHOLE: Final[TypeAdapter[Settings]] = TypeAdapter(Settings)


def json_schema() -> dict[str, Any]:
    """For editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **WHOLE.json_schema(by_alias=True)}
