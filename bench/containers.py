"""Containers for benches: a state directory, a fork server and a busybox root of the row's own, all gone when the row is over."""
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness import UnavailableError
from tests.support import host
from tests.support.bundle import Recipe, make_bundle
from tests.support.driver import ECI_RUNC, Container, Result, Runtime
from tests.support.rootfs import compile_program, make_root
from tests.support.waiting import wait_gone

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class BenchRuntime(Runtime):
    """A runtime whose state is where it is on a real host: in memory. On a disk each of its small files would cost as much as a fork."""

    state: Path = Path("/nonexistent")

    @property
    def state_dir(self) -> Path:
        return self.state


@dataclass(slots=True)
class Playground:
    """Where a row's containers are. `ours` is eci-runc in front of runc, `plain` runc itself, with the same --root."""

    directory: Path
    ours: Runtime
    plain: Runtime
    _made: list[Container] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def container(self, runtime: Runtime, recipe: Recipe | None = None) -> Container:
        """A new container, not yet created; removed with the playground at the latest."""
        name = f"c{next(self._numbers)}"
        cgroup = f"/{runtime.token}-{name}"
        bundle = make_bundle(self.directory / f"b-{name}", self.directory / "image", recipe or Recipe(), cgroups_path=cgroup)
        self._made.append(Container(runtime, bundle, name))
        return self._made[-1]

    def discard(self, container: Container) -> None:
        container.remove()
        shutil.rmtree(container.bundle)
        self._made.remove(container)

    def discard_all(self) -> None:
        for container in list(self._made):
            self.discard(container)


def timed(runtime: Runtime, *words: str) -> float:
    """What one successful command takes, in seconds."""
    before = time.perf_counter()
    child, out, err = runtime.start(*words)
    status = child.wait()  # without a time limit: subprocess would poll, in steps of up to 50 ms
    took_s = time.perf_counter() - before
    Result(status, out.read_text(), err.read_text()).ok()
    return took_s


def programs(root: Path) -> None:
    """The benches' own programs, into a busybox root."""
    for source in PROGRAMS.glob("*.c"):
        compile_program(source, root / "bin" / source.stem, "-O2")


@contextmanager
def state_directory() -> Iterator[Path]:
    """An empty state directory on a tmpfs; at the end its fork server is ended. Raises UnavailableError where there is no tmpfs."""
    try:
        path = Path(tempfile.mkdtemp(prefix="eci-bench-", dir="/dev/shm"))
    except OSError as error:
        raise UnavailableError(f"no tmpfs on /dev/shm: {error.strerror}") from error
    path.chmod(0o711)
    try:
        yield path
    finally:
        stop_fork_server(path)
        shutil.rmtree(path)


@contextmanager
def playground() -> Iterator[Playground]:
    """Raises UnavailableError without eci-runc or runc."""
    if not ECI_RUNC.exists() or shutil.which("runc") is None:
        raise UnavailableError("no eci-runc in .venv/bin (make build), or no runc")
    with state_directory() as state, tempfile.TemporaryDirectory(prefix="eci-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)
        programs(make_root(directory / "image"))
        ours, plain = (BenchRuntime("runc", directory, directory.name, plain=plain, state=state) for plain in (False, True))
        place = Playground(directory, ours, plain)
        try:
            yield place
        finally:
            place.discard_all()


def stop_fork_server(state_dir: Path) -> None:
    server = host.listener_of(state_dir / "fork.sock")
    if server is not None:
        os.kill(server, signal.SIGTERM)
        wait_gone(server)


__all__ = ["PROGRAMS", "Container", "Playground", "Recipe", "Result", "Runtime", "playground", "state_directory", "timed"]
