"""Whose a container, exec, volume or network is: asked of the engine, by the name that a request uses."""
import re
from dataclasses import dataclass
from urllib.parse import quote

from eci_supervisor.docker.bodies import BodyRefused
from eci_supervisor.docker.checks import PARENT_LABEL
from eci_supervisor.docker.strict_json import Json
from eci_supervisor.docker.upstream import ask
from eci_supervisor.model.settings import Rights

NOT_OURS = "it is no container of this runtime"
NOT_OWN = "it was not made through this socket"
NAME = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9_.-]*")  # the engine takes a name with its slash, too


@dataclass(frozen=True, slots=True)
class Targets:
    """engine: path of its socket, asked without a version: old engines know no new one, new engines no old one.

    Methods raise BodyRefused, EngineGone, and NotThere: what the engine does not know now it might a moment later, as somebody else's, so
    that no name goes on that was not looked up.
    """

    engine: str
    rights: Rights

    async def container(self, name: str) -> str:
        """The id of a container under this runtime."""
        if not NAME.fullmatch(name):
            raise BodyRefused("container", name, "it is no name of a container")
        found = await ask(self.engine, f"/containers/{quote(name.removeprefix('/'), safe='')}/json")
        runtime = _text(found, "HostConfig", "Runtime")
        if self.rights.runtime and runtime not in (self.rights.runtime, f"{self.rights.runtime}-system"):
            raise BodyRefused("container", name, NOT_OURS)
        self._own(_at(found, "Config", "Labels"), "container", name)
        return _text(found, "Id")

    async def of_exec(self, name: str) -> str:
        """The id of an exec in a container under this runtime."""
        found = await ask(self.engine, f"/exec/{quote(name, safe='')}/json")
        await self.container(_text(found, "ContainerID"))
        return _text(found, "ID")

    async def labelled(self, kind: str, name: str) -> str:
        """With own scope: what a volume or network is called that carries this socket's label; "" where any will do."""
        if not self.rights.own_scope:
            return ""
        found = await ask(self.engine, f"/{kind}/{quote(name, safe='')}")
        self._own(_at(found, "Labels"), kind, name)
        return _text(found, "Id") or _text(found, "Name")

    def _own(self, labels: Json, kind: str, name: str) -> None:
        if self.rights.own_scope and (not isinstance(labels, dict) or labels.get(PARENT_LABEL) != self.rights.container):
            raise BodyRefused(kind, name, NOT_OWN)


def _at(found: Json, *keys: str) -> Json:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _text(found: Json, *keys: str) -> str:
    value = _at(found, *keys)
    return value if isinstance(value, str) else ""
