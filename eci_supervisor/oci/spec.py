"""The OCI runtime spec as far as we read it. Source: opencontainers/runtime-spec, config.md and config-linux.md.

config.json is kept as it was parsed, so that what we do not know reaches the real runtime unchanged; `Spec` reads and replaces the
parts that concern us, each with its type checked. Pure.
"""
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Kind = TypeVar("Kind")


class SpecError(ValueError):
    """One sentence: config.json is not what the spec says."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of `mounts`; type and source are "" where the spec leaves them out."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def is_bind(self) -> bool:
        """runc and crun alike take a mount for a bind by its options, or by the type `bind`."""
        return self.type == "bind" or "bind" in self.options or "rbind" in self.options


@dataclass(frozen=True, slots=True)
class Namespace:
    """One entry of linux.namespaces; without a path it is a new one."""

    type: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class IdMap:
    """One line of uidMappings or gidMappings."""

    container: int
    host: int
    size: int


@dataclass(frozen=True, slots=True)
class Spec:
    """A config.json. A property raises SpecError where the file has another type than the spec."""

    raw: Mapping[str, Json] = field(repr=False)

    def get(self, *path: str) -> Json:
        """What stands at `path`; None where any part of it is missing or null."""
        here: Json = dict(self.raw)
        for depth, name in enumerate(path):
            if here is None:
                return None
            if not isinstance(here, dict):
                raise SpecError(f"config.json: {'.'.join(path[:depth])} is no object")
            here = here.get(name)
        return here

    def put(self, *path: str, value: Json) -> "Spec":
        """A spec with `value` at `path`; objects missing on the way are made."""
        return Spec(_put(self.raw, path, value))

    def without(self, *path: str) -> "Spec":
        """A spec without the last name of `path`."""
        above = self.get(*path[:-1])
        if not isinstance(above, dict):
            return self
        return Spec(_put(self.raw, path[:-1], {name: value for name, value in above.items() if name != path[-1]}))

    def to_bytes(self) -> bytes:
        return json.dumps(self.raw).encode() + b"\n"

    @property
    def root_path(self) -> str:
        path = _text(self.get("root", "path"), "root.path")
        if not path:
            raise SpecError("config.json has no root.path")
        return path

    @property
    def root_read_only(self) -> bool:
        return self.get("root", "readonly") is True

    @property
    def working_directory(self) -> str:
        return _text(self.get("process", "cwd"), "process.cwd") or "/"

    @property
    def propagation(self) -> str:
        return _text(self.get("linux", "rootfsPropagation"), "linux.rootfsPropagation")

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return _each(self.get("mounts"), "mounts", _mount)

    @property
    def namespaces(self) -> tuple[Namespace, ...]:
        return _each(self.get("linux", "namespaces"), "linux.namespaces", _namespace)

    def namespace(self, kind: str) -> Namespace | None:
        """The namespace of that type; the last, should there be two."""
        return next((ns for ns in reversed(self.namespaces) if ns.type == kind), None)

    def id_maps(self, which: str) -> tuple[IdMap, ...]:
        """`which` is uidMappings or gidMappings."""
        return _each(self.get("linux", which), f"linux.{which}", _id_map)

    @property
    def masked(self) -> tuple[str, ...]:
        return _texts(self.get("linux", "maskedPaths"), "linux.maskedPaths")

    @property
    def read_only_paths(self) -> tuple[str, ...]:
        return _texts(self.get("linux", "readonlyPaths"), "linux.readonlyPaths")

    @property
    def sysctls(self) -> tuple[tuple[str, str], ...]:
        found = _object(self.get("linux", "sysctl"), "linux.sysctl")
        return tuple((key, _text(value, f"linux.sysctl.{key}")) for key, value in found.items())

    @property
    def seccomp(self) -> dict[str, object] | None:
        found = self.get("linux", "seccomp")
        return None if found is None else {**_object(found, "linux.seccomp")}

    @property
    def cgroups_path(self) -> str:
        return _text(self.get("linux", "cgroupsPath"), "linux.cgroupsPath")

    def annotation(self, name: str) -> str:
        """"" where there is none."""
        return _text(_object(self.get("annotations"), "annotations").get(name), f"annotations.{name}")

    @property
    def devices(self) -> tuple[str, ...]:
        """Paths of the nodes that the runtime is to make."""
        return _each(self.get("linux", "devices"), "linux.devices", lambda value, where: _text(_object(value, where).get("path"), where))

    @property
    def disks(self) -> tuple[str, ...]:
        """Block devices that the runtime is to make, as MAJOR:MINOR."""
        entries = _each(self.get("linux", "devices"), "linux.devices", _object)
        return tuple(f"{_number(entry.get('major'), 'major')}:{_number(entry.get('minor'), 'minor')}"
                     for entry in entries if entry.get("type") == "b")

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Every id that process.user names: uid, gid, additionalGids."""
        user = _object(self.get("process", "user"), "process.user")
        groups = _each(user.get("additionalGids"), "process.user.additionalGids", _number)
        return (*(_number(user[name], f"process.user.{name}") for name in ("uid", "gid") if user.get(name) is not None), *groups)


def parse_spec(text: bytes) -> Spec:
    """config.json, with every part that we read checked for its type. Raises SpecError."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"config.json is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SpecError("config.json is no JSON object")
    spec = Spec(raw)
    if spec.get("linux") is None:
        raise SpecError("config.json has no section linux: only Linux containers can be isolated")
    _ = (spec.root_path, spec.propagation, spec.mounts, spec.namespaces, spec.masked, spec.read_only_paths, spec.sysctls, spec.seccomp,
         spec.process_ids, spec.working_directory, spec.id_maps("uidMappings"), spec.id_maps("gidMappings"))
    _object(spec.get("hooks"), "hooks")
    return spec


def _put(above: Mapping[str, Json], path: tuple[str, ...], value: Json) -> dict[str, Json]:
    if not path:
        return dict(value) if isinstance(value, dict) else {}
    if len(path) == 1:
        return {**above, path[0]: value}
    below = above.get(path[0])
    return {**above, path[0]: _put(below if isinstance(below, dict) else {}, path[1:], value)}


def _object(value: Json, where: str) -> dict[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SpecError(f"config.json: {where} is no object")
    return value


def _text(value: Json, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise SpecError(f"config.json: {where} is no text")
    return value


def _number(value: Json, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(f"config.json: {where} is no number")
    return value


def _each(value: Json, where: str, parse: Callable[[Json, str], Kind]) -> tuple[Kind, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SpecError(f"config.json: {where} is no list")
    return tuple(parse(item, f"{where}[{index}]") for index, item in enumerate(value))


def _texts(value: Json, where: str) -> tuple[str, ...]:
    return _each(value, where, _text)


def _mount(value: Json, where: str) -> Mount:
    entry = _object(value, where)
    destination = _text(entry.get("destination"), f"{where}.destination")
    if not destination:
        raise SpecError(f"config.json: {where} has no destination")
    return Mount(destination, _text(entry.get("type"), f"{where}.type"), _text(entry.get("source"), f"{where}.source"),
                 _texts(entry.get("options"), f"{where}.options"))


def _namespace(value: Json, where: str) -> Namespace:
    entry = _object(value, where)
    return Namespace(_text(entry.get("type"), f"{where}.type"), _text(entry.get("path"), f"{where}.path"))


def _id_map(value: Json, where: str) -> IdMap:
    entry = _object(value, where)
    return IdMap(*(_number(entry.get(name, 0), f"{where}.{name}") for name in ("containerID", "hostID", "size")))
