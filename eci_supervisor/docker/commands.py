"""Names of docker commands, as an admin writes them in a command list, and the routes that a list closes or opens.

A server sees endpoints, not commands. A deny list closes the smallest cut without which a command cannot work (Route.commands); an allow
list opens all that an allowed command asks for (and Route.needed_by).
"""
import difflib
from dataclasses import dataclass
from typing import Literal

from eci_supervisor.docker.route import Class, Route
from eci_supervisor.docker.routes import ROUTES

CUTTABLE = frozenset[str]().union(*(route.blocked_by for route in ROUTES))
KNOWN = CUTTABLE.union(*(route.opened_by for route in ROUTES), {"version"})
# What runs in the client alone, or is not to be had by a socket: a mistake in either list.
UNSUPPORTED = frozenset({"dev", "extension", "feedback", "init", "manifest", "sbom", "scan", "scout", "trust", "context", "logout",
                         "completion", "system dial-stdio"})  # fmt: skip
GROUPS = frozenset(name.partition(" ")[0] for name in KNOWN if " " in name)

_CONTAINER = ("attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename", "restart", "rm",
              "run", "start", "stats", "stop", "top", "unpause", "update", "wait")  # fmt: skip
_IMAGE = ("history", "import", "load", "pull", "push", "save", "tag")
_ALIASES = {
    **{verb: f"container {verb}" for verb in _CONTAINER},
    **{verb: f"image {verb}" for verb in _IMAGE},
    "ps": "container ls", "container ps": "container ls", "images": "image ls", "rmi": "image rm",
    "build": "image build", "builder build": "image build", "buildx build": "image build", "buildx bake": "image build",
    "buildx prune": "builder prune", "info": "system info", "events": "system events",
    "stack up": "stack deploy", "stack down": "stack rm",
}  # fmt: skip
_VERBS = {"list": "ls", "remove": "rm"}
# Groups whose commands do not all bear the group's name.
_FAMILIES = {"build": frozenset({"image build", "builder prune", "buildx du"})}


class BadCommand(ValueError):
    """An entry that a command list cannot have; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class CommandList:
    """Which commands a socket refuses ("deny") or lets pass ("allow"). `commands` are canonical; the default refuses none."""

    type: Literal["deny", "allow"] = "deny"
    commands: frozenset[str] = frozenset()

    def refuses(self, route: Route) -> bool:
        if Class.BASE in route.classes:
            return False
        if self.type == "deny":
            return not self.commands.isdisjoint(route.blocked_by)
        return self.commands.isdisjoint(route.opened_by)


def canonical(written: str) -> frozenset[str]:
    """The commands that an entry names: one, or a group's for "group*". Raises BadCommand."""
    name = " ".join(written.lower().split()).removeprefix("docker ")
    if name.endswith("*"):
        return _family(name[:-1].rstrip(), written)
    name = _ALIASES.get(name, name)
    group, _, verb = name.partition(" ")
    if verb in _VERBS:
        name = f"{group} {_VERBS[verb]}"
        name = _ALIASES.get(name, name)
    if name in UNSUPPORTED or group in UNSUPPORTED:
        raise BadCommand(f"{written!r} is not supported: no endpoint of the engine belongs to it alone")
    if name not in KNOWN:
        raise BadCommand(f"{written!r} is no docker command{_nearest(name)}")
    return frozenset({name})


def command_list(kind: Literal["deny", "allow"], written: str) -> frozenset[str]:
    """As canonical(), for an entry of a list of that type. Raises BadCommand, also for a command that a deny list cannot cut."""
    names = canonical(written)
    if kind == "deny" and names.isdisjoint(CUTTABLE):
        raise BadCommand(f"{written!r} has no endpoint of its own that a deny list could close: deny what it calls, or use an allow list")
    return names


def taken_along(names: frozenset[str]) -> frozenset[str]:
    """Other commands that no longer work when `names` are denied: they need an endpoint that is closed."""
    closed = [route for route in ROUTES if not names.isdisjoint(route.blocked_by)]
    return frozenset[str]().union(*(route.opened_by for route in closed)) - names


def _family(group: str, written: str) -> frozenset[str]:
    if group == "":
        return KNOWN
    own = frozenset(name for name in KNOWN if name.startswith(f"{group} "))
    family = own | _FAMILIES.get(group, frozenset())
    if not family:
        raise BadCommand(f"{written!r} is no group of docker commands{_nearest(group, GROUPS)}")
    return family


def _nearest(name: str, among: frozenset[str] = KNOWN) -> str:
    near = difflib.get_close_matches(name, sorted(among | _ALIASES.keys() if among is KNOWN else among), n=1)
    return f": is it {near[0]!r}?" if near else ""
