"""Which engine calls, as far as its config.json tells. Pure.

Docker's daemon has the runtime call it back, by a hook that names its process and where its own files at run time are. Source: moby,
daemon/oci_linux.go, withLibnetwork. Of other engines nothing is known but what the settings say.
"""
import re
from dataclasses import dataclass
from typing import Final

from eci_supervisor.oci.spec import Spec

_PROGRAM: Final = re.compile(r"/proc/([1-9][0-9]{0,9})/exe")
_AGENT: Final = re.compile(r".*/tmp/\.buildkit-ssh-sock\d+/ssh_auth_sock")
_COMMAND: Final = "libnetwork-setkey"
_EXEC_ROOT: Final = "-exec-root="


@dataclass(frozen=True, slots=True)
class CallingEngine:
    """pid: of its process, 0 where it is not known; exec_root: with the sockets of its containerd and more, "" where it is not known."""

    pid: int = 0
    exec_root: str = ""


def is_api(path: str) -> bool:
    """Whether of an engine's listening sockets this one may be its API. One is the ssh agent of a client that builds, forwarded to it."""
    return _AGENT.fullmatch(path) is None


def calling_engine(spec: Spec) -> CallingEngine:
    """The first hook that is Docker's own."""
    hooks = spec.get("hooks", "prestart")
    for hook in hooks if isinstance(hooks, list) else ():
        args = hook.get("args") if isinstance(hook, dict) else None
        program = _PROGRAM.fullmatch(str(hook.get("path"))) if isinstance(hook, dict) else None
        if program and isinstance(args, list) and args[:1] == [_COMMAND]:
            roots = [str(word).removeprefix(_EXEC_ROOT) for word in args if str(word).startswith(_EXEC_ROOT + "/")]
            return CallingEngine(int(program[1]), roots[0] if roots else "")
    return CallingEngine()
