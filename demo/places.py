"""Where the demo's containers run: under eci-runc itself, or under an engine that calls it. The chapters see no difference."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.support.bundle import Recipe, bind, make_bundle, read_config, write_config
from tests.support.driver import Container, Result, Runtime
from tests.support.engine import Engine
from tests.support.host import listener_of, namespace_file
from tests.support.isolated import bind_from_outside
from tests.support.rootfs import make_root
from tests.support.waiting import wait_gone

MEMORY_BYTES = 256 << 20


class Box(Protocol):
    """A container that runs, with all capabilities; /r is a read-only volume, /shared a writable one."""

    @property
    def name(self) -> str: ...
    def command(self, script: str) -> str:
        """What a user would type to run `script` in it."""
    def sh(self, script: str) -> Result: ...
    def remove(self) -> None: ...


class Place(Protocol):
    """What starts boxes."""

    @property
    def volumes(self) -> Path: ...
    @property
    def state_dir(self) -> Path: ...
    def box(self) -> Box: ...
    def refused(self) -> tuple[str, Result]:
        """A container that asks for a namespace of the host: what a user would type, and what came of it."""


@dataclass(frozen=True, slots=True)
class BundleBox:
    container: Container

    @property
    def name(self) -> str:
        return self.container.id

    def command(self, script: str) -> str:
        return f"eci-runc exec {self.name} {script}"

    def sh(self, script: str) -> Result:
        return self.container.sh(script)

    def remove(self) -> None:
        self.container.remove()


@dataclass(slots=True)
class Bundles:
    """eci-runc and the system's runc, no engine."""

    directory: Path
    volumes: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def state_dir(self) -> Path:
        return self.runtime.state_dir

    @property
    def runtime(self) -> Runtime:
        return Runtime("runc", self.directory, self.directory.name)

    def container(self) -> Container:
        name = f"demo{next(self.numbers)}"
        binds = [bind(self.volumes / "shared", "/shared")]
        bundle = self.directory / name
        limits = {"devices": [{"allow": True, "access": "rwm"}], "memory": {"limit": MEMORY_BYTES}}
        volumes = (bind(self.volumes / "r", "/r", "ro"), *binds)
        recipe = Recipe(privileged=True, mounts=volumes, linux={"resources": limits})
        make_bundle(bundle, self.directory / "image", recipe, cgroups_path=f"/{self.directory.name}-{name}")
        return Container(self.runtime, bundle, name)

    def box(self) -> BundleBox:
        box = BundleBox(self.container().up())
        offer_host_network(box.sh, box.container.pid, self.volumes)
        return box

    def refused(self) -> tuple[str, Result]:
        container = self.container()
        spec = read_config(container.bundle)
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "network"]
        write_config(container.bundle, spec)
        result = container.create()
        container.remove()
        return f"eci-runc create --bundle {container.id} {container.id}    # config.json without a network namespace", result


@dataclass(frozen=True, slots=True)
class EngineBox:
    engine: Engine
    id: str

    @property
    def name(self) -> str:
        return self.id[:12]

    def command(self, script: str) -> str:
        return f"docker exec {self.name} {script}"

    def sh(self, script: str) -> Result:
        return self.engine.docker("exec", self.id, "sh", "-c", script)

    def remove(self) -> None:
        self.engine.docker("rm", "--force", self.id).ok()


@dataclass(slots=True)
class Engines:
    """docker run --runtime=eci-runc."""

    engine: Engine
    volumes: Path
    state_dir: Path

    def options(self) -> tuple[str, ...]:
        volumes = (f"{self.volumes}/r:/r:ro", f"{self.volumes}/shared:/shared")
        return ("--runtime=eci-runc", "--privileged", f"--memory={MEMORY_BYTES}", *(word for volume in volumes for word in ("-v", volume)))

    def box(self) -> EngineBox:
        box = EngineBox(self.engine, self.engine.detached(*self.options(), "eci-demo", "sleep", "1000"))
        pid = int(self.engine.docker("inspect", "--format={{.State.Pid}}", box.id).ok().out)
        offer_host_network(box.sh, pid, self.volumes)
        return box

    def refused(self) -> tuple[str, Result]:
        result = self.engine.run("--runtime=eci-runc", "--pid=host", "eci-demo", "true")
        return "docker run --rm --runtime=eci-runc --pid=host busybox true", result


def offer_host_network(sh: Callable[[str], Result], pid: int, volumes: Path) -> None:
    """The host's network namespace at /hostnet of a container: no create would bind it, so it comes from outside."""
    sh("touch /hostnet").ok()
    bind_from_outside(pid, volumes / "hostnet", "/hostnet")


@contextmanager
def playground() -> Iterator[tuple[Path, Path]]:
    """A directory that container root can walk through, and in it one for volumes, which no other user of the host can enter."""
    directory = Path(tempfile.mkdtemp(prefix="eci-demo-", dir="/tmp"))
    directory.chmod(0o711)
    volumes = directory / "volumes"
    for name in ("r", "shared"):
        (volumes / name).mkdir(parents=True)
    volumes.chmod(0o700)
    (volumes / "r/there").write_text("content\n")
    os.mknod(volumes / "r/disk", 0o60666, os.makedev(*root_disk()))
    make_root(directory / "image")
    try:
        with namespace_file(volumes / "hostnet", "net"):
            yield directory, volumes
    finally:
        server = listener_of(directory / "s/fork.sock")
        if server is not None:
            os.kill(server, signal.SIGTERM)
            wait_gone(server)
        shutil.rmtree(directory)


def root_disk() -> tuple[int, int]:
    """The device of the host's root file system: what a container must not get at."""
    device = os.stat("/").st_dev
    return os.major(device), os.minor(device)


@contextmanager
def bundles() -> Iterator[Bundles]:
    with playground() as (directory, volumes):
        yield Bundles(directory, volumes)


def registered(name: str) -> bool:
    """Whether the host's engine runs and knows a runtime of that name."""
    done = subprocess.run(["docker", "info", "--format", "{{json .Runtimes}}"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and name in json.loads(done.stdout)


@dataclass(slots=True)
class HostEngine(Engine):
    """The engine that runs on this host already."""

    def command(self, *args: str) -> list[str]:
        return ["docker", *args]


@contextmanager
def engines() -> Iterator[Engines]:
    """The host's engine where eci-runc is registered with it; else one of our own, so that nobody's configuration is changed."""
    with playground() as (directory, volumes):
        known = registered("eci-runc")
        kind = HostEngine if known else Engine
        state_dir = Path("/run/eci") if known else directory / "s"
        engine = kind(directory, "runc", (f"--state-dir={state_dir}", f"--audit-dir={directory}/audit"))
        if not known:
            engine.start()
        try:
            engine.import_image(directory / "image", "eci-demo", "ENV PATH=/bin")
            yield Engines(engine, volumes, state_dir)
            engine.docker("rmi", "eci-demo")
        finally:
            if not known:
                engine.close()
