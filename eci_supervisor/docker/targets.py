"""Whose a container, exec, volume or network is: asked of the engine, by the name that a request uses."""
from dataclasses import dataclass
from urllib.parse import quote

from eci_supervisor.docker.bodies import BodyRefused
from eci_supervisor.docker.checks import PARENT_LABEL
from eci_supervisor.docker.strict_json import Json
from eci_supervisor.docker.upstream import NotThere, ask
from eci_supervisor.model.settings import Rights

NOT_OURS = "it is no container of this runtime"
NOT_OWN = "it was not made through this socket"


@dataclass(frozen=True, slots=True)
class Targets:
    """engine: path of its socket. Names that the engine does not know are left to it: it answers 404."""

    engine: str
    rights: Rights

    async def container(self, name: str) -> str | None:
        """The id of a container under this runtime; None if the engine knows none. Raises BodyRefused, EngineGone."""
        try:
            found = await ask(self.engine, f"/v1.{24}/containers/{quote(name, safe='')}/json")
        except NotThere:
            return None
        runtime = _text(found, "HostConfig", "Runtime")
        if self.rights.runtime and runtime not in (self.rights.runtime, f"{self.rights.runtime}-system"):
            raise BodyRefused("container", name, NOT_OURS)
        self._own(_at(found, "Config", "Labels"), "container", name)
        return _text(found, "Id")

    async def of_exec(self, name: str) -> str | None:
        """The id of an exec in a container under this runtime. Raises as container()."""
        try:
            found = await ask(self.engine, f"/v1.{24}/exec/{quote(name, safe='')}/json")
        except NotThere:
            return None
        await self.container(_text(found, "ContainerID"))
        return _text(found, "ID")

    async def labelled(self, kind: str, name: str) -> None:
        """With own scope: that a volume or network carries this socket's label. Raises BodyRefused, EngineGone."""
        if not self.rights.own_scope:
            return
        try:
            found = await ask(self.engine, f"/v1.{25}/{kind}/{quote(name, safe='')}")
        except NotThere:
            return
        self._own(_at(found, "Labels"), kind, name)

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
