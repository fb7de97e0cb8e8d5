"""The command line of runc and crun, as far as it concerns us. Pure.

What we do not know is passed on unchanged; ours (`--mode`, `--real-runtime`, `--state-dir`, `--audit-dir`) are taken out. Go's parser
takes one dash for two, `--x=v` and `--x v` both occur, and a switch may be switched off by `=false`.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR, DEFAULT_STATE_DIR
from eci_supervisor.model.state import Mode

OURS = frozenset({"mode", "real-runtime", "state-dir", "audit-dir", "settings"})
GLOBAL_VALUES = OURS | {"root", "log", "log-format", "criu", "rootless", "cgroup-manager"}
GLOBAL_SWITCHES = frozenset({"debug", "systemd-cgroup", "version", "help", "v", "h", "V"})

CREATE_VALUES = frozenset({"bundle", "config", "console-socket", "pid-file", "preserve-fds", "pidfd-socket"})
EXEC_VALUES = frozenset({"process", "user", "cwd", "env", "cap", "apparmor", "process-label", "pid-file", "console-socket", "preserve-fds",
                         "cgroup", "additional-gids", "pidfd-socket"})
VALUES: Mapping[str, frozenset[str]] = {"create": CREATE_VALUES, "run": CREATE_VALUES, "exec": EXEC_VALUES}
SHORT: Mapping[str, Mapping[str, str]] = {
    "create": {"b": "bundle", "f": "config"},
    "run": {"b": "bundle", "f": "config", "d": "detach"},
    "exec": {"p": "process", "u": "user", "e": "env", "c": "cap", "g": "additional-gids", "d": "detach", "t": "tty"},
}
FALSE = frozenset({"false", "False", "FALSE", "f", "F", "0"})


class ArgvError(ValueError):
    """One sentence: the command line cannot be followed."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A call of eci-runc.

    before: the global options without ours, as they came; words: the command and what follows it, as it came; options: those of
    the command, by their long names; id: the container's, "" where the command has none.
    """

    mode: Mode
    state_dir: str
    audit_dir: str
    before: tuple[str, ...]
    command: str
    words: tuple[str, ...]
    id: str
    root: str = ""
    real_runtime: str = ""
    settings: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def switched(self, name: str) -> bool:
        """Whether a switch of the command is on."""
        return name in self.options and self.options[name] not in FALSE


def parse(program: str, words: Sequence[str]) -> CommandLine:
    """`program` is argv[0], which chooses the mode as well as --mode does. Raises ArgvError."""
    found: dict[str, str] = {}
    before: list[str] = []
    at = 0
    while at < len(words) and words[at].startswith("-"):
        name, value, used = _option(words, at, GLOBAL_VALUES)
        if name not in GLOBAL_VALUES | GLOBAL_SWITCHES and value is None and at + 1 < len(words) and not _is_command(words[at + 1]):
            raise ArgvError(f"the global option {words[at]} is not known here: write it as {words[at]}=VALUE")
        found[name] = value or ""
        if name not in OURS:
            before += words[at:at + used]
        at += used
    command = words[at] if at < len(words) else ""
    options, operands = _command_options(command, words[at + 1:])
    return CommandLine(
        mode=_mode(program, found.get("mode")), state_dir=_directory("--state-dir", found.get("state-dir", DEFAULT_STATE_DIR)),
        audit_dir=_directory("--audit-dir", found.get("audit-dir", DEFAULT_AUDIT_DIR)), before=tuple(before), command=command,
        words=tuple(words[at:]), id=_container_id(command, operands), root=found.get("root", ""),
        real_runtime=found.get("real-runtime", ""),
        settings=_directory("--settings", found["settings"]) if found.get("settings") else "", options=options)


def log_of(words: Sequence[str]) -> tuple[str, bool]:
    """--log, and whether --log-format is json, of a command line that may be wrong otherwise."""
    found: dict[str, str] = {}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        name, value, used = _option(words, at, GLOBAL_VALUES)
        found[name] = value or ""
        at += used
    return found.get("log", ""), found.get("log-format") == "json"


def _option(words: Sequence[str], at: int, valued: frozenset[str]) -> tuple[str, str | None, int]:
    """(name, value, words used) of the option at `at`; the value of a switch is None."""
    name, equals, value = words[at].lstrip("-").partition("=")
    if equals:
        return name, value, 1
    if name in valued and at + 1 < len(words):
        return name, words[at + 1], 2
    return name, None, 1


def _command_options(command: str, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """exec's options end at the container's id, since a command line follows; crun takes the others' anywhere."""
    options: dict[str, str] = {}
    operands: list[str] = []
    short = SHORT.get(command, {})
    valued = VALUES.get(command, frozenset())
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--" or (operands and command == "exec"):
            operands += words[at + (word == "--"):]
            break
        if not word.startswith("-") or word == "-":
            operands.append(word)
            at += 1
            continue
        if word[1] != "-" and len(word) > 2 and word[2] != "=" and short.get(word[1]) in valued and word[1:] not in valued:
            options[short[word[1]]] = word[2:]  # -uNAME, as crun's parser takes it
            at += 1
            continue
        name, value, used = _option(words, at, valued | {letter for letter, long in short.items() if long in valued})
        options[short.get(name, name)] = value or ""
        at += used
    return options, operands


def _container_id(command: str, operands: Sequence[str]) -> str:
    """create and run name it last, exec first."""
    if not operands:
        return ""
    return operands[0] if command == "exec" else operands[-1]


def _is_command(word: str) -> bool:
    return word in VALUES or word in {"checkpoint", "restore", "delete"}


def _mode(program: str, given: str | None) -> Mode:
    if given is None:
        return Mode.SYSTEM if program.rpartition("/")[2] == "eci-runc-system" else Mode.ECI
    try:
        return Mode(given)
    except ValueError:
        raise ArgvError(f'--mode is "{given}", must be eci or system') from None


def _directory(option: str, path: str) -> str:
    if not path.startswith("/"):
        raise ArgvError(f'{option} is "{path}", must be an absolute path')
    return path.rstrip("/") or "/"
