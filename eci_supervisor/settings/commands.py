"""The commands of a commandList: Docker's names for them, canonical, with wildcards and aliases expanded. Pure.

A canonical command is `<group> <verb>`; inspect, login, search and version alone. Which routes of the engine's API a command closes or
opens is not told here: see docker/routes.
"""
from collections.abc import Iterable
from typing import Final

GROUPS: Final = {
    "builder": "prune",
    "checkpoint": "create ls rm",
    "config": "create inspect ls rm update",
    "container": "attach commit cp create diff exec export inspect kill logs ls pause port prune rename restart rm run start stats stop "
                 "top unpause update wait",
    "image": "build history import inspect load ls prune pull push rm save tag",
    "network": "connect create disconnect inspect ls prune rm",
    "node": "demote inspect ls promote ps rm update",
    "plugin": "create disable enable inspect install ls push rm set upgrade",
    "secret": "create inspect ls rm update",
    "service": "create inspect logs ls ps rm rollback scale update",
    "swarm": "ca init join join-token leave unlock unlock-key update",
    "system": "df events info prune",
    "volume": "create inspect ls prune rm update",
}  # fmt: skip
ALONE: Final = ("inspect", "login", "search")
# No endpoint is theirs alone, so to deny one would close nothing; in an allow list they open what they need.
ALLOW_ONLY: Final = ("compose", "stack deploy", "stack ls", "stack ps", "stack rm", "stack services", "buildx du", "version")
UNSUPPORTED: Final = ("dev", "extension", "feedback", "init", "manifest", "sbom", "scan", "scout", "trust", "context", "logout",
                      "completion", "system dial-stdio")  # fmt: skip
TWINS: Final = {
    "container": "attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop top unpause update "
                 "wait",
    "image": "history import load pull push save tag",
    "system": "info events",
}  # fmt: skip
OTHER_NAMES: Final = {
    "ps": "container ls", "container ps": "container ls", "container remove": "container rm",
    "images": "image ls", "image remove": "image rm", "rmi": "image rm",
    "build": "image build", "builder build": "image build", "buildx build": "image build", "buildx bake": "image build",
    "buildx prune": "builder prune", "stack up": "stack deploy", "stack down": "stack rm",
}  # fmt: skip
WILDCARDS: Final = {"build": ("image build", "builder prune", "buildx du"), "stack": tuple(c for c in ALLOW_ONLY if c.startswith("stack "))}

COMMANDS: Final = (*(f"{group} {verb}" for group, verbs in GROUPS.items() for verb in verbs.split()), *ALONE)
ALIASES: Final = {**{verb: f"{group} {verb}" for group, verbs in TWINS.items() for verb in verbs.split()}, **OTHER_NAMES}


class UnknownCommand(ValueError):
    """What would be right, to stand behind the command."""


def expanded(written: str, *, allow: bool) -> tuple[str, ...]:
    """The canonical commands that one entry of a list means. Raises UnknownCommand."""
    name = " ".join(written.lower().split())
    name = name.removeprefix("docker ")
    if name == "*":
        return COMMANDS + ALLOW_ONLY if allow else COMMANDS
    if name.endswith("*"):
        return _group(name[:-1].rstrip(), allow=allow)
    if name.endswith(" list"):
        name = f"{name.removesuffix(' list')} ls"
    name = ALIASES.get(name, name)
    if name in COMMANDS or (allow and name in ALLOW_ONLY):
        return (name,)
    if name in ALLOW_ONLY:
        raise UnknownCommand("no endpoint of the engine is its own, so there is nothing to deny: name the commands that it uses")
    if name.split(" ")[0] in UNSUPPORTED or name in UNSUPPORTED:
        raise UnknownCommand("this command cannot be in a list: it does nothing at the engine that others do not")
    if name in GROUPS:
        raise UnknownCommand(f'use "{name}*" for all of its commands, or name one: "{name} {GROUPS[name].split()[0]}"')
    raise UnknownCommand('use a command as `docker --help` shows it: "push", "container ls", "volume*"')


def canonical(entries: Iterable[str], *, allow: bool) -> tuple[str, ...]:
    """A whole list, sorted, nothing twice. Raises UnknownCommand for the first that is none."""
    return tuple(sorted({command for entry in entries for command in expanded(entry, allow=allow)}))


def _group(group: str, *, allow: bool) -> tuple[str, ...]:
    if group in WILDCARDS:
        return tuple(command for command in WILDCARDS[group] if allow or command in COMMANDS)
    if group == "buildx":
        return WILDCARDS["build"] if allow else WILDCARDS["build"][:2]
    if group in GROUPS:
        return tuple(f"{group} {verb}" for verb in GROUPS[group].split())
    raise UnknownCommand(f"there is no group of commands {group!r}: use one of {', '.join(f'{name}*' for name in GROUPS)}")
