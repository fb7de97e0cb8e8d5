"""A container as eci-runc records it: DIR/c/KEY/state.json.

Written by create before the supervisor starts, from then on by the supervisor alone (rename over the old one), and read by
everybody: exec, delete, `eci`, the fork server.
"""
import json
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.ids import IdRange

try:
    from _sha256 import sha256  # type: ignore[import-not-found] # hashlib loads OpenSSL, for 2 ms of each create
except ImportError:  # Python 3.12 has it under another name
    from hashlib import sha256



class Mode(Enum):
    """How much a container may do inside its user namespace."""

    ECI = "eci"
    SYSTEM = "system"


class StateError(ValueError):
    """state.json is not what this version writes; the text says what is wrong."""


def container_key(root: str, container_id: str) -> str:
    """The name of a container's directory: `root` is the runtime's --root, which makes an engine's ids unique."""
    digest: str = sha256(f"{root}\0{container_id}".encode("utf-8", "surrogateescape")).hexdigest()
    return digest[:20]


@dataclass(frozen=True, slots=True)
class LateBind:
    """A read-only bind below a mount that the runtime makes: `staged` in the runtime's mount namespace goes to `destination`."""

    staged: str
    destination: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What is known of a container.

    id, root: as given to the runtime; bundle, rootfs (as staged), real_runtime, audit_dir: absolute paths; token: the metadata of the
    seccomp state; created: seconds since 1970; masked, read_only: the spec's paths; disks: its block devices as MAJOR:MINOR;
    sysfs_read_only: of the spec's mount of /sys; sysctls: to be written as container root; overlay_work: our work directory beside the
    engine's, or ""; joined: the user namespace is another container's; calls: the admin's rules for system calls; init_pid and
    init_start (clock ticks since boot, field 22 of /proc/PID/stat) are 0 until the runtime's hook has run; supervisor_pid and _start are 0
    until it serves.
    """

    key: str
    id: str
    root: str
    bundle: str
    mode: Mode
    ids: IdRange
    token: str
    real_runtime: str
    audit_dir: str
    created: float
    rootfs: str
    masked: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    sysfs_read_only: bool = True
    sysctls: tuple[tuple[str, str], ...] = ()
    overlay_work: str = ""
    joined: bool = False
    calls: CallRules = NO_RULES
    init_pid: int = 0
    init_start: int = 0
    supervisor_pid: int = 0
    supervisor_start: int = 0
    version: int = 1

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(replace(self, mode=self.mode.value)), indent=1).encode() + b"\n"  # type: ignore[arg-type] # as text

    @classmethod
    def from_bytes(cls, text: bytes) -> "ContainerState":
        """Raises StateError."""
        try:
            raw: dict[str, Any] = json.loads(text)
            raw["mode"] = Mode(raw["mode"])
            raw["ids"] = IdRange(**raw["ids"])
            raw["sysctls"] = tuple((key, value) for key, value in raw["sysctls"])
            types = MountTypes(raw["calls"]["mount_types"]["allow"], tuple(raw["calls"]["mount_types"]["types"]))
            raw["calls"] = CallRules(**{**_tuples(raw["calls"]), "mount_types": types})
            for name in ("masked", "read_only", "disks"):
                raw[name] = tuple(raw[name])
            return cls(**raw)
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"state.json: {error}") from error


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
