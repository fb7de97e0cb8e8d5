"""What the lines of tests/container/inside have seen: one container a runtime runs them all, the tests look at what came of each."""
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container, Runtime

INSIDE = Path(__file__).parent / "inside"
PYTHON = ("/usr/bin/python3", "-B", "-m", "tests.container.inside.run")
WORK = "/lines"
MODULES = ("procfs", "api", "immutable", "fuse")
SEEN: dict[str, dict[str, object]] = {}
Seen = Callable[[str], Any]


def machine(containers: Launch, closed: Path, **wanted: object) -> Container:
    """A container with all capabilities and the host's Python; /v is a read-only volume, /w a writable one, /n one without set-uid.

    /dev/fuse is there, open to all.
    """
    for name in ("sub", "../w", "../n"):
        (closed / name).mkdir(exist_ok=True)
    fuse = closed.parent / "fuse"
    if not fuse.exists():
        os.mknod(fuse, 0o20666, os.makedev(10, 229))
        fuse.chmod(0o666)
    volumes = (
        bind("/usr", "/usr", "ro"), bind(INSIDE, f"{WORK}/tests/container/inside", "ro"), bind(closed, "/v", "ro"),
        bind(closed.parent / "w", "/w"), bind(closed.parent / "n", "/n", "nosuid"), bind(fuse, "/dev/fuse"),
    )  # fmt: skip
    made = containers(**{"privileged": True, "mounts": volumes, **wanted})
    for link in ("lib", "lib64"):
        (made.bundle / "rootfs" / link).symlink_to(f"usr/{link}")
    return made.up()


def said(container: Container, module: str, *names: str) -> dict[str, Any]:
    """What the lines of a module, or those named, return in the container."""
    result: dict[str, Any] = json.loads(container.exec(*PYTHON, module, *names, options=(f"--cwd={WORK}",)).ok().out)
    return result


def said_outside(container: Container, module: str, *names: str) -> dict[str, Any]:
    """The same from a process that joins the container's namespaces and has no filter."""
    join = ["nsenter", f"--target={container.pid}", "--user", "--mount", "--pid", "--net", "--ipc", "--uts", "--root"]
    command = [*join, "env", "-C", WORK, *PYTHON, module, *names]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return result


def seen_in(runtime: Runtime, containers: Launch, closed: Path) -> Seen:
    """What a line has returned; the first question has them all run."""
    if runtime.real not in SEEN:
        container = machine(containers, closed)
        SEEN[runtime.real] = {line: value for module in MODULES for line, value in said(container, module).items()}
    return SEEN[runtime.real].__getitem__
