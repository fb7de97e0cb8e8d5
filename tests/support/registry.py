"""A registry on loopback, in the network namespace of the engine under test, which has it as its mirror of docker.io."""
import signal
import subprocess
from pathlib import Path

from tests.support.engine import REGISTRY, START_S, Engine
from tests.support.waiting import wait_until


class Registry:
    """Debian's docker-registry, plain. Images pushed as `REGISTRY/library/x:t` are pulled as `x:t`."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine, self._directory = engine, directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self._directory}/data}}, "
                          f"delete: {{enabled: true}}}}\nhttp: {{addr: {REGISTRY}}}\n")
        with (self._directory / "log").open("ab") as log:
            command = [*self._engine.network(), "docker-registry", "serve", str(config)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        probe = ("busybox", "wget", "-q", "-O", "-", f"http://{REGISTRY}/v2/")
        wait_until(lambda: self._engine.inside_network(*probe).status == 0, "the registry answers", START_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(START_S)
            self._process = None

    def push(self, local: str, name: str) -> str:
        """Publishes a local image as docker.io's `name` ("library/x:t"); the digest that the registry serves for it."""
        self._engine.docker("tag", local, f"{REGISTRY}/{name}").ok()
        pushed = self._engine.docker("push", f"{REGISTRY}/{name}").ok().out
        self._engine.docker("rmi", f"{REGISTRY}/{name}").ok()
        return next(word for word in pushed.split() if word.startswith("sha256:"))
