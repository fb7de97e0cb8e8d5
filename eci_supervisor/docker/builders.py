"""Under which runtime an engine builds: a build that would run elsewhere is refused, whatever the settings say. trio.

The legacy builder makes containers under the engine's default runtime. BuildKit in the engine calls a runc of its own: what the engine's
environment names, since Docker 23 (API 1.42), else the first `runc` in its PATH. Source: moby, builder/builder-next/executor_linux.go.
"""
import os
import shutil

import trio

from eci_supervisor.docker.decision import BUILDS, Refused, blocked
from eci_supervisor.docker.engine import PROGRAM
from eci_supervisor.docker.head import Head
from eci_supervisor.docker.target import Target
from eci_supervisor.docker.upstream import ask
from eci_supervisor.linux.listening import listener
from eci_supervisor.model.settings import Rights

VARIABLE = "DOCKER_BUILDKIT_RUNC_COMMAND"
KNOWS_VARIABLE = 42
OURS = "eci-runc"  # what the name of our program begins with, or that of a script which gives it its options


async def check(head: Head, target: Target, rights: Rights, newest: int) -> None:
    """`newest`: the n of the engine's API version 1.n. Raises Refused, EngineGone, NotThere."""
    if target.path == "/build" and target.value("version") in ("", "1"):
        default = str((await ask(rights.engine, "/info")).get("DefaultRuntime"))
        if default not in (rights.runtime, f"{rights.runtime}-system"):
            raise _refused(head, f'"default-runtime": "{rights.runtime}" for the engine: it builds under {default}')
        return
    program = await trio.to_thread.run_sync(_buildkits_runc, rights.engine, newest)
    if not os.path.basename(program).startswith(OURS):
        name = f"{VARIABLE}={OURS}" if newest >= KNOWS_VARIABLE else f"a link `runc` to {OURS} first in PATH"
        raise _refused(head, f"{name} in the engine's environment: its BuildKit runs {program or 'what cannot be seen from here'}")


def _refused(head: Head, what: str) -> Refused:
    return blocked("socket.engine", head, what, BUILDS)


def _buildkits_runc(engine: str, newest: int) -> str:
    """The program, its links resolved; "" where the engine's process is not to be found."""
    environment = _environment(engine)
    named = environment.get(VARIABLE, "") if newest >= KNOWS_VARIABLE else ""
    found = shutil.which(named or "runc", path=environment.get("PATH", "")) if environment else None
    return os.path.realpath(found) if found else ""


def _environment(engine: str) -> dict[str, str]:
    try:
        with open(f"/proc/{listener(engine, PROGRAM)}/environ", encoding="utf-8", errors="surrogateescape") as file:
            return dict(line.split("=", 1) for line in file.read().split("\0") if "=" in line)
    except OSError:
        return {}
