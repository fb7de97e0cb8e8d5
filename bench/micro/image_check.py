"""`docker run` with the Docker socket: the image looked up by what is remembered, by its registry, by its base; against a run without."""
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from bench.docker import engine
from bench.harness import P50, Bench, Goal, Round, UnavailableError, Variant, more
from tests.probes import PROBES
from tests.support.engine import Engine
from tests.support.registry import Registry

RUNS: Final = 4
LISTED, DERIVED = "docker:cli", "mine:1"


@contextmanager
def place() -> Iterator[Engine]:
    """With a listed image, which a registry serves, and one built on it."""
    if reason := PROBES["docker_registry"]():
        raise UnavailableError(reason)
    with engine() as one:
        registry = Registry(one, one.directory / "registry")
        registry.start()
        try:
            registry.push("box", f"library/{LISTED}")
            one.docker("pull", LISTED).ok()
            container = one.docker("create", LISTED, "true").ok().out.strip()
            one.docker("cp", "/etc/hostname", f"{container}:/more").ok()
            one.docker("commit", container, DERIVED).ok()
            (one.directory / "admin-settings.json").write_text(json.dumps({
                "enhancedContainerIsolation": {"value": True, "dockerSocketMount": {"imageList": {"images": [LISTED]}}},
                "eci": {"dockerSocket": {"engine": str(one.socket)}}}))  # fmt: skip
            yield one
        finally:
            registry.stop()


def runs(image: str, *, socket: bool, remembered: bool) -> Callable[[], AbstractContextManager[Round]]:
    @contextmanager
    def opened() -> Iterator[Round]:
        with place() as docker:
            memory = Path(docker.args[0].partition("=")[2], "lib/digests.json")
            options = ["-v", f"{docker.socket}:/var/run/docker.sock"] if socket else []
            command = docker.command("run", "--rm", *options, image, "true")

            def once() -> float:
                if not remembered:
                    memory.unlink(missing_ok=True)
                before = time.perf_counter()
                subprocess.run(command, env=docker.environment(), stdin=subprocess.DEVNULL, check=True)
                return time.perf_counter() - before

            yield lambda: [once() for _ in range(RUNS)]

    return opened


def row(name: str, image: str, *goals: Goal, remembered: bool) -> Bench:
    return Bench(f"docker run with the socket, {name}", Variant("with it", runs(image, socket=True, remembered=remembered)),
                 Variant("without", runs(image, socket=False, remembered=True)), goals, rounds=5)  # fmt: skip


BENCHES = (
    row("digest remembered", LISTED, remembered=True), row("registry asked", LISTED, remembered=False),
    row("derived image", DERIVED, more(P50, 1.0), remembered=False),
)
