"""An engine for the rows that ask it by its socket, with our relay and with socat before it; all gone when the last row's side is over."""
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.containers import state_directory
from bench.harness import UnavailableError
from tests.support.engine import Engine, running
from tests.support.gateway import Gateway, served
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Sockets:
    """Three ways to one engine. plain: socat, which copies bytes and knows nothing of HTTP."""

    engine: Engine
    relay: Gateway
    plain: Path


@contextmanager
def engine(runtime: str = "eci-runc", place: str = "/dev/shm") -> Iterator[Engine]:
    """On a tmpfs, so that no disk is measured, unless `place` is elsewhere. Raises UnavailableError."""
    if shutil.which("dockerd") is None:
        raise UnavailableError("dockerd is not installed")
    with state_directory() as state, tempfile.TemporaryDirectory(prefix="eci-bench-", dir=place) as name, \
            running(Path(name), state, runtime) as one:
        yield one


@contextmanager
def _opened() -> Iterator[Sockets]:
    if shutil.which("socat") is None:
        raise UnavailableError("socat is not installed")
    with engine() as one, served(one, one.directory / "gateway") as relay:
        relay.permit(builds=True)
        plain = one.directory / "plain.sock"
        words = ["socat", f"UNIX-LISTEN:{plain},fork,backlog=128", f"UNIX-CONNECT:{one.socket}"]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
            try:
                wait_until(plain.exists, "socat listens")
                yield Sockets(one, relay, plain)
            finally:
                process.send_signal(signal.SIGTERM)


class _Shared:
    """What both sides of a row have in common."""

    users = 0
    stack = ExitStack()
    value: Sockets | None = None


@contextmanager
def sockets() -> Iterator[Sockets]:
    """The same for both sides of a row. Raises UnavailableError."""
    if _Shared.value is None:
        _Shared.value = _Shared.stack.enter_context(_opened())
    _Shared.users += 1
    try:
        yield _Shared.value
    finally:
        _Shared.users -= 1
        if not _Shared.users:
            _Shared.value = None
            _Shared.stack.close()


@contextmanager
def connection(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(60)
        one.connect(str(path))
        yield one
