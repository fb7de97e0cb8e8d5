"""Which version of the API an engine speaks at most: asked once, and told by each of its answers since. trio.

An engine that was started again has made its socket anew, and is asked again. Where somebody else holds the socket for it (systemd), an
engine that was replaced says its version in its first answer.
"""
import os

from eci_supervisor.docker import answers
from eci_supervisor.docker.head import Headers
from eci_supervisor.docker.upstream import ask

Socket = tuple[int, int, int]  # device, inode, time of its last change in nanoseconds


class Versions:
    """Of the engines that one relay has in front of it: one, or two when the settings have come to name another."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Socket | None, int]] = {}

    async def newest(self, engine: str) -> int:
        """The n of the engine's newest API version 1.n, at most what the relay knows. Raises EngineGone, NotThere."""
        known = self._known.get(engine)
        if known is None or known[0] != _socket(engine):
            known = (_socket(engine), answers.minor((await ask(engine, "/version")).get("ApiVersion")))
            self._known[engine] = known
        return known[1]

    def told(self, engine: str, headers: Headers) -> None:
        """The headers of an answer of the engine's."""
        said = next((value for name, value in headers if name == b"api-version"), None)
        if said is not None and engine in self._known:
            self._known[engine] = (self._known[engine][0], answers.minor(said.decode("latin-1")))


def _socket(engine: str) -> Socket | None:
    try:
        status = os.stat(engine)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns
