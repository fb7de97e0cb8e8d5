"""From a parsed file to checked settings: every error at once, each with its path, its value and what would be right. Pure."""
import difflib
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic_core import ErrorDetails, ValidationError

from eci_supervisor.settings.commands import UnknownCommand, expanded
from eci_supervisor.settings.document import Document, Json
from eci_supervisor.settings.names import SYSCTLS, sysctl_name
from eci_supervisor.settings.problem import Invalid, Problem, path_of, shown
from eci_supervisor.settings.reference import parse_entry
from eci_supervisor.settings.schema import WHOLE, Settings

TYPES: Final = {
    "bool_type": "use true or false", "string_type": "use a text in double quotes", "int_type": "use a whole number",
    "int_from_float": "use a whole number", "tuple_type": 'use a list: ["…"]', "dict_type": "use an object: {…}",
    "model_type": "use an object: {…}", "model_attributes_type": "use an object: {…}", "missing": "it is missing: write it",
}  # fmt: skip
OURS: Final = ("enhancedContainerIsolation", "eci", "configurationFileVersion")
SECTION: Final = "enhancedContainerIsolation"
GLOBAL_IMAGES: Final = f"{SECTION}.dockerSocketMount.imageList.images"
GLOBAL_COMMANDS: Final = f"{SECTION}.dockerSocketMount.commandList"
OWN_IMAGES: Final = "eci.dockerSocket.images"


def checked(document: Document) -> Settings:
    """Raises Invalid with all problems, in the file's order."""
    problems = list(_misspelt(document.value))
    settings = None
    try:
        settings = WHOLE.validate_python(document.value, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += [_problem(found) for found in error.errors(include_url=False)]
    if settings is not None:
        problems += _semantic(settings)
    if problems or settings is None:
        placed = [Problem(one.path, one.value, one.right, _line(document, one.path)) for one in problems]
        raise Invalid(tuple(sorted(placed, key=lambda one: one.line)))
    return settings


def _line(document: Document, path: str) -> int:
    """Of a value, or of the nearest one around it that is there."""
    while path and path not in document.lines:
        path = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]*)$", "", path)
    return document.lines.get(path, 0)


def _problem(found: ErrorDetails) -> Problem:
    path = path_of(found["loc"])
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path, "", f"there is no such setting{_nearest(found)}")
    if kind == "literal_error":
        return Problem(path, shown(found["input"]), f"use {str(context['expected']).replace(chr(39), chr(34))}")
    if kind == "value_error":
        return Problem(path, shown(found["input"]), str(context["error"]))
    if "ge" in context or "le" in context:
        bound = f"use at least {context['ge']}" if "ge" in context else f"use at most {context['le']}"
        return Problem(path, shown(found["input"]), bound)
    value = "" if kind == "missing" else shown(found["input"])
    return Problem(path, value, TYPES.get(kind, str(found["msg"])))


def _nearest(found: ErrorDetails) -> str:
    """The settings there are beside an unknown one."""
    names = _names(found["loc"][:-1])
    close = difflib.get_close_matches(str(found["loc"][-1]), names, 1, 0.6)
    if close:
        return f': did you mean "{close[0]}"?'
    return f": there are {', '.join(names)}" if names else ""


def _names(parents: tuple[int | str, ...]) -> list[str]:
    """The keys that an object at `parents` may have."""
    schema = WHOLE.json_schema(by_alias=True)
    here: dict[str, Any] = schema
    for part in parents:
        here = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part, {})
        for choice in here.get("anyOf", ()):
            here = choice if "$ref" in choice else here
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    return sorted(here.get("properties", {}))


def _misspelt(value: Json) -> Iterator[Problem]:
    """At the top unknown keys are Docker's business, but not those that differ from ours in case alone: they would be left out silently."""
    if isinstance(value, dict):
        for name in value:
            meant = next((own for own in OURS if own.casefold() == name.casefold()), name)
            if meant != name:
                yield Problem(name, "", f'write it "{meant}"')


def _semantic(settings: Settings) -> Iterator[Problem]:
    """What depends on more than one value."""
    mount, own = settings.enhanced_container_isolation.docker_socket_mount, settings.eci.docker_socket.images
    images: list[tuple[str, str]] = []
    if mount is not None:
        yield from _commands(mount.command_list.type, mount.command_list.commands, GLOBAL_COMMANDS)
        images += [(f"{GLOBAL_IMAGES}[{at}]", image) for at, image in enumerate(mount.image_list.images)]
    for at, rights in enumerate(own):
        images.append((f"{OWN_IMAGES}[{at}].image", rights.image))
        if rights.command_list is not None:
            yield from _commands(rights.command_list.type, rights.command_list.commands, f"{OWN_IMAGES}[{at}].commandList")
    yield from _twice(images)
    for name in settings.eci.virtual_nodes.max:
        if not sysctl_name(name):
            near = difflib.get_close_matches(name.replace("/", "."), SYSCTLS, 1, 0.6)
            meant = f': did you mean "{near[0]}"?' if near else ""
            yield Problem(f"eci.virtualNodes.max.{name}", "", f"no virtual sysctl has this name{meant}")


def _commands(kind: Literal["deny", "allow"], commands: tuple[str, ...], where: str) -> Iterator[Problem]:
    for at, command in enumerate(commands):
        try:
            expanded(command, allow=kind == "allow")
        except UnknownCommand as error:
            yield Problem(f"{where}.commands[{at}]", shown(command), str(error))


def _twice(images: list[tuple[str, str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, image in images:
        key = str(parse_entry(image))
        if key in seen:
            yield Problem(path, shown(image), f"it is the same image as {seen[key]}: keep one of them")
        seen.setdefault(key, path)
