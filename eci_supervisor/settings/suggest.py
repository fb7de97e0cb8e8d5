"""The settings that would allow what learn mode has seen, and no more. Pure.

Learn mode lets pass what a list alone refuses, and records it: an image without an entry, a command that a list closes, a source that is
not below an allowed root. Each becomes the smallest change of the document that the admin has.
"""
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eci_supervisor.docker.route import NEWEST_MINOR, Route
from eci_supervisor.docker.routes import ROUTES, find
from eci_supervisor.docker.target import MalformedRequest, UnsupportedVersion, parse
from eci_supervisor.settings.commands import canonical
from eci_supervisor.settings.reference import parse_entry

IMAGE, COMMAND, SOURCE = "socket.image", "socket.command", "mount.restricted"
BY_ID = "id:"


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of learn mode. rule: of those above; subject: the image or the source; entry: whose list of commands it was, normalised,
    "" for the global one; method and target: a request's."""

    rule: str
    subject: str = ""
    entry: str = ""
    method: str = ""
    target: str = ""

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Seen | None":
        """From a line of the audit file; None for any that learn mode did not write."""
        args = event.get("args")
        if event.get("verdict") != "learn" or event.get("rule") not in (IMAGE, COMMAND, SOURCE) or not isinstance(args, dict):
            return None
        return cls(str(event["rule"]), *(str(args.get(name, "")) for name in ("subject", "entry", "method", "target")))


def suggested(document: Mapping[str, Any], seen: Iterable[Seen]) -> dict[str, Any]:
    """The document with what was seen allowed, in enforce mode."""
    made: dict[str, Any] = copy.deepcopy(dict(document))
    for one in dict.fromkeys(seen):
        if one.rule == IMAGE:
            _add_image(made, one.subject)
        elif one.rule == SOURCE:
            _append(_at(made, "eci", "bindMounts"), "allowed", one.subject)
        else:
            _open(_holder(made, one.entry), one)
    _at(made, "eci", "audit")["mode"] = "enforce"
    return made


def _add_image(document: dict[str, Any], image: str) -> None:
    """Docker's own list has no place for an image by id."""
    if not image.startswith(BY_ID):
        _append(_at(document, "enhancedContainerIsolation", "dockerSocketMount", "imageList"), "images", image)
        return
    entries = _at(document, "eci", "dockerSocket").setdefault("images", [])
    if image not in [entry.get("image") for entry in entries]:
        entries.append({"image": image})


def _holder(document: dict[str, Any], entry: str) -> dict[str, Any]:
    """The object whose commandList is in force: an image's entry that has one of its own, else Docker's."""
    for one in _at(document, "eci", "dockerSocket").get("images", []):
        if "commandList" in one and entry and str(parse_entry(one["image"])) == entry:
            return _at(one, "commandList")
    return _at(document, "enhancedContainerIsolation", "dockerSocketMount", "commandList")


def _open(commands: dict[str, Any], seen: Seen) -> None:
    route = _route(seen)
    if route is None:
        return
    listed = commands.get("commands", [])
    if commands.get("type", "deny") == "deny":
        commands["commands"] = [left for entry in listed for left in _left(entry, route)]
    elif route.opened_by.isdisjoint(canonical(listed, allow=True)):
        listed.append(min(route.blocked_by or route.opened_by, key=lambda name: (_opens(name), name)))
        commands["commands"] = listed


def _left(entry: str, route: Route) -> list[str]:
    """What stays of a deny list's entry: itself, or, of a group, the commands that do not close the route."""
    names = canonical([entry], allow=False)
    if route.blocked_by.isdisjoint(names):
        return [entry]
    return [name for name in names if name not in route.blocked_by]


def _opens(command: str) -> int:
    return sum(command in route.opened_by for route in ROUTES)


def _route(seen: Seen) -> Route | None:
    try:
        target = parse(seen.target.encode("ascii", "replace"))
    except (MalformedRequest, UnsupportedVersion):
        return None
    found = find(seen.method, target.path, target.minor or NEWEST_MINOR, target.keys)
    return found[0] if found is not None else None


def _at(document: dict[str, Any], *path: str) -> dict[str, Any]:
    for name in path:
        document = document.setdefault(name, {})
    return document


def _append(holder: dict[str, Any], name: str, value: str) -> None:
    values = holder.setdefault(name, [])
    if value and value not in values:
        values.append(value)
