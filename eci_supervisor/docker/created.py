"""Containers that a client makes with the engine's socket: their image is judged at once, so that the client hears it from its create.

It is early, not final: the runtime judges the image again, and what the source is, at each start. trio.
"""
from collections.abc import Callable, Mapping

import trio

from eci_supervisor.docker.decision import Refused
from eci_supervisor.docker.engine import PROGRAM
from eci_supervisor.docker.right import refused_at_create
from eci_supervisor.docker.strict_json import Json
from eci_supervisor.linux.listening import listener, listening_paths, socket_identity
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import Policy
from eci_supervisor.oci.refusal import PolicyRefused

MOST_AT_ONCE = 4
DEADLINE_S = 20.0  # a registry is waited for half of that; the rest is for sources on a slow file system


def bind_sources(body: Mapping[str, Json]) -> tuple[str, ...]:
    """The host paths that a create names, after its body has been judged."""
    host = body.get("HostConfig") or {}
    written = [str(bind).partition(":")[0] for bind in host.get("Binds") or ()]
    mounted = [str(mount.get("Source", "")) for mount in host.get("Mounts") or () if mount.get("Type") == "bind"]
    return tuple(path for path in (*written, *mounted) if path.startswith("/"))


class CreatedWithSocket:
    """policy: what is in force; may wait, and is called in a thread."""

    def __init__(self, policy: Callable[[], Policy], state_dir: StateDir) -> None:
        self._policy, self._state_dir = policy, state_dir
        self._limiter = trio.CapacityLimiter(MOST_AT_ONCE)

    async def judge(self, body: Mapping[str, Json]) -> None:
        """Raises Refused."""
        if not (sources := bind_sources(body)):
            return
        with trio.move_on_after(DEADLINE_S):
            image = str(body.get("Image", ""))
            refusal = await trio.to_thread.run_sync(self._refusal, image, sources, abandon_on_cancel=True, limiter=self._limiter)
            if refusal is not None:
                raise Refused(403, refusal.code, str(refusal), refusal.where)
            return
        raise Refused(502, "socket.gone", f"enhanced container isolation: docker socket: {sources[0]} could not be looked at in time")

    def _refusal(self, image: str, sources: tuple[str, ...]) -> PolicyRefused | None:
        if not (named := {found for found in map(socket_identity, sources) if found}):
            return None
        policy = self._policy()
        engines = (policy.socket.engine, *listening_paths(listener(policy.socket.engine, PROGRAM)))
        return refused_at_create(image, policy, self._state_dir) if named & {*map(socket_identity, engines)} else None
