"""A Docker engine of our own: data, sockets and network namespace apart from those of an engine that may run on this host already."""
import json
import os
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.driver import ECI, ECI_RUNC, Result
from tests.support.host import mountinfo
from tests.support.rootfs import make_root
from tests.support.waiting import SLOWNESS, wait_gone, wait_until

COMMAND_S = 60.0 * SLOWNESS
REGISTRY = "127.0.0.1:5000"  # in the engine's network namespace: a registry of the tests, see support/registry.py
TCP_PORT = 2375
START_S = 30.0


@dataclass(slots=True)
class Engine:
    """dockerd and how to talk to it.

    directory: everything of it, short, 0711; runtime: that of containers of whom nothing else is said; args: global options of
    eci-runc, which the engine passes before the command.
    """

    directory: Path
    runtime: str
    args: tuple[str, ...]
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @property
    def other_socket(self) -> Path:
        """Where it listens too, in a directory that holds nothing else."""
        return self.directory / "more/docker.sock"

    @property
    def programs(self) -> Path:
        """A directory in its PATH, before all others."""
        return self.directory / "bin"

    @property
    def authorities(self) -> Path:
        """The certificates of whom it trusts: of nobody in the world."""
        return self.directory / "authorities"

    @property
    def log(self) -> Path:
        return self.directory / "dockerd.log"

    @property
    def root(self) -> str:
        """The runtime's --root, which together with the id names a container."""
        return f"{self.directory}/exec/runtime-{self.runtime}/moby"

    def settings(self) -> dict[str, object]:
        return {
            "data-root": f"{self.directory}/data",
            "exec-root": f"{self.directory}/exec",
            "pidfile": f"{self.directory}/docker.pid",
            "hosts": [f"unix://{self.socket}", f"unix://{self.other_socket}", f"tcp://127.0.0.1:{TCP_PORT}"],
            "storage-driver": "overlay2",
            "live-restore": True,
            "shutdown-timeout": 2,
            "registry-mirrors": [f"http://{REGISTRY}"],
            "default-runtime": self.runtime,
            "runtimes": {
                "eci-runc": {"path": str(ECI_RUNC), "runtimeArgs": list(self.args)},
                "eci-runc-system": {"path": str(ECI_RUNC), "runtimeArgs": [*self.args, "--mode=system"]},
            },
        }

    def start(self) -> None:
        """Starts dockerd (again, if it was stopped) and returns when it answers; raises TimeoutError with the end of its log."""
        (self.directory / "daemon.json").write_text(json.dumps(self.settings()))
        self.programs.mkdir(exist_ok=True)
        self.other_socket.parent.mkdir(exist_ok=True)
        env = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", "SSL_CERT_DIR": str(self.authorities)}
        with self.log.open("ab") as log:
            command = [*self.network(), "dockerd", f"--config-file={self.directory}/daemon.json"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=env)
        try:
            wait_until(lambda: self.docker("version").status == 0, "dockerd answers", START_S)
        except TimeoutError as error:
            self.stop()
            raise TimeoutError("\n".join(self.log.read_text().splitlines()[-20:])) from error

    def network(self) -> tuple[str, ...]:
        """A network namespace of its own keeps dockerd's firewall rules, bridge and ip_forward off the host's.

        The one kept from the first start is joined by later ones: containers that live on have their peers in it.
        """
        kept = self.directory / "net"
        if not kept.exists():
            kept.touch()
            subprocess.run(["unshare", f"--net={kept}", "busybox", "ip", "link", "set", "lo", "up"], check=True)
        return ("nsenter", f"--net={kept}")

    def inside_network(self, *args: str) -> Result:
        """A command in the network namespace of the engine: what a user of its host would do with a published port."""
        done = subprocess.run([*self.network(), *args], capture_output=True, text=True, timeout=COMMAND_S, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def stop(self) -> None:
        """Stops dockerd; containers live on. Its containerd ends with it."""
        assert self.process is not None
        containerd = self.directory / "exec/containerd/containerd.pid"
        pid = int(containerd.read_text()) if containerd.exists() else None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_S)
        self.process = None
        if pid is not None:
            wait_gone(pid)

    def close(self) -> None:
        """Stops it for good: containers first, then the daemon, then what it left mounted."""
        try:
            self.remove_all()
        finally:
            self.stop()
        for line in mountinfo():
            point = line.split(" ")[2]
            if point.startswith((f"{self.directory}/net", f"{self.directory}/data", f"{self.directory}/exec")):
                subprocess.run(["umount", "--lazy", point], check=True)

    def command(self, *args: str) -> list[str]:
        return ["docker", f"--host=unix://{self.socket}", *args]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "DOCKER_CONFIG": f"{self.directory}/client", "DOCKER_BUILDKIT": "0", "TERM": "dumb"}

    def docker(self, *args: str, stdin: str | None = None, deadline_s: float = COMMAND_S) -> Result:
        command, env = self.command(*args), self.environment()
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=deadline_s, check=False, env=env)
        return Result(done.returncode, done.stdout, done.stderr)

    def run(self, *args: str, **how: str) -> Result:
        """docker run --rm ARGS…"""
        return self.docker("run", "--rm", *args, **how)  # type: ignore[arg-type] # only stdin is text

    def detached(self, *args: str) -> str:
        """docker run -d ARGS…; the container's id."""
        return self.docker("run", "-d", *args).ok().out.strip()

    def explain(self, image: str) -> Result:
        """`eci policy explain IMAGE --json`, by the settings that containers of this engine are made by."""
        words = [str(ECI), "policy", "explain", image, "--json", f"--settings={self.directory}/admin-settings.json",
                 f"--state-dir={self.directory}/s"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def remove_all(self) -> None:
        if ids := self.docker("ps", "--all", "--quiet").ok().out.split():
            self.docker("rm", "--force", "--volumes", *ids).ok()

    def import_image(self, root: Path, name: str, *changes: str) -> None:
        """An image of one layer out of a directory; no registry is asked."""
        with tempfile.NamedTemporaryFile(suffix=".tar", dir=self.directory) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(root, arcname=".")
            file.flush()
            options = [word for change in changes for word in ("--change", change)]
            self.docker("import", *options, file.name, name).ok()


@contextmanager
def running(directory: Path, state: Path, runtime: str = "eci-runc") -> Iterator[Engine]:
    """An engine in `directory` that has the image box, made of busybox; closed at the end. `state`: of eci-runc."""
    directory.chmod(0o711)
    engine = Engine(directory, runtime, (f"--state-dir={state}", f"--audit-dir={directory}/audit",
                                         f"--settings={directory}/admin-settings.json"))
    engine.start()
    try:
        engine.import_image(make_root(directory / "image"), "box", 'CMD ["sh"]', "ENV PATH=/bin")
        yield engine
    finally:
        engine.close()
