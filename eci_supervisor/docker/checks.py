"""Checks of single values in a body, for the schemas of docker.requests. Each takes (value, JSON path, Asked); raises BodyRefused."""
from eci_supervisor.docker.bodies import Asked, BodyRefused, Check
from eci_supervisor.docker.strict_json import Json

CONTAINER = "container:"
OWN_LABELS = "eci."
PARENT_LABEL = "eci.parent"
LOG_DRIVERS = frozenset({"", "json-file", "local", "journald", "none"})
TMPFS_OPTIONS = frozenset({"size", "mode", "uid", "gid"})


def text(value: Json, where: str) -> str:
    """The value if it is a string. Raises BodyRefused."""
    if not isinstance(value, str):
        raise BodyRefused(where, value, "a string is expected")
    return value


def one_of(*allowed: str, why: str) -> Check:
    def check(value: Json, where: str, _asked: Asked) -> str:
        if text(value, where) not in allowed:
            raise BodyRefused(where, value, why)
        return str(value)

    return check


def empty(why: str) -> Check:
    """Nothing but what says nothing: the engine reads absent, null and empty alike."""

    def check(value: Json, where: str, _asked: Asked) -> Json:
        if value not in ("", [], {}, False, 0):
            raise BodyRefused(where, value, why)
        return value

    return check


def namespace(value: Json, where: str, asked: Asked) -> str:
    """A namespace mode: never the host's, and another container's only if that is one of ours."""
    mode = text(value, where)
    if mode == "host":
        raise BodyRefused(where, value, "a namespace of the host")
    if mode.startswith(CONTAINER):
        return CONTAINER + _ours(mode.removeprefix(CONTAINER), where, asked)
    if mode.startswith("ns:"):
        raise BodyRefused(where, value, "a namespace by path")
    return mode


def volumes_from(value: Json, where: str, asked: Asked) -> str:
    name, colon, mode = text(value, where).partition(":")
    return _ours(name, where, asked) + colon + mode


def container(value: Json, where: str, asked: Asked) -> str:
    """A container by name or id: one of ours, written as its id."""
    return _ours(text(value, where), where, asked)


def forced_runtime(value: Json, where: str, asked: Asked) -> str:
    return asked.runtime or text(value, where)


def at_least_zero(value: Json, where: str, _asked: Asked) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BodyRefused(where, value, "it is less than 0")
    return value


def labels(value: Json, where: str, _asked: Asked) -> dict[str, Json]:
    """Labels or annotations: none of ours, which say whose a container is."""
    if not isinstance(value, dict):
        raise BodyRefused(where, value, "an object is expected")
    for key in value:
        if key.lower().startswith(OWN_LABELS):
            raise BodyRefused(f"{where}.{key}", value[key], f"keys that begin with {OWN_LABELS} are the runtime's")
    return value


def bind(value: Json, where: str, _asked: Asked) -> str:
    """`source:destination[:options]`: the runtime judges what the source is once it has opened it; here only its form."""
    source = text(value, where).partition(":")[0]
    return _source(source, value, where)


def mount(value: Json, where: str, _asked: Asked) -> dict[str, Json]:
    """One of HostConfig.Mounts, rebuilt before: types that have rules, nothing by a driver's options."""
    kind = value.get("Type", "")
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise BodyRefused(f"{where}.Type", kind, "use bind, volume, tmpfs or image")
    if kind == "bind":
        _source(text(value.get("Source", ""), f"{where}.Source"), value.get("Source"), f"{where}.Source")
    return dict(value)


def driver_options(value: Json, where: str, _asked: Asked) -> dict[str, Json]:
    """Options of the local volume driver: it mounts what they name, so nothing but a tmpfs with a size and an owner."""
    if not isinstance(value, dict):
        raise BodyRefused(where, value, "an object is expected")
    if not value:
        return {}
    if value.get("type") != "tmpfs" or value.get("device", "tmpfs") != "tmpfs" or value.keys() - {"type", "device", "o"}:
        raise BodyRefused(where, value, "only a tmpfs can be a volume with options")
    for option in filter(None, text(value.get("o", ""), f"{where}.o").split(",")):
        if option.partition("=")[0] not in TMPFS_OPTIONS:
            raise BodyRefused(f"{where}.o", option, "use size, mode, uid or gid")
    return value


def inner_path(value: Json, where: str, _asked: Asked) -> str:
    if ".." in text(value, where).split("/"):
        raise BodyRefused(where, value, "it leads out of the volume")
    return str(value)


def network_options(value: Json, where: str, _asked: Asked) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise BodyRefused(where, value, "an object is expected")
    for key in value:
        if key.lower() in ("parent", "com.docker.network.bridge.name"):
            raise BodyRefused(f"{where}.{key}", value[key], "it names an interface of the host")
    return value


def _ours(name: str, where: str, asked: Asked) -> str:
    asked.containers.add(name)
    if asked.ours is None:
        return name
    found = asked.ours.get(name)
    if found is None:
        raise BodyRefused(where, name, "it is no container of this runtime")
    return found


def _source(source: str, value: Json, where: str) -> str:
    if source.startswith("/") and (".." in source.split("/") or source.startswith("/proc/")):
        raise BodyRefused(where, value, "name the host's directory itself")
    return str(value)
