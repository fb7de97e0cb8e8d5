"""One engine for the whole tier, and one image made of busybox. ECI_TEST_PLAIN=1: runc is its runtime, to see that the tests are right."""
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import docker_client, host
from tests.support.driver import REPOSITORY
from tests.support.engine import Engine, running
from tests.support.gateway import Gateway, served
from tests.support.waiting import wait_gone, wait_until

PLAIN = bool(os.environ.get("ECI_TEST_PLAIN"))
Admin = Callable[..., None]
OUR_PROGRAMS = REPOSITORY / "eci_supervisor/bin"
BEFORE = frozenset(process.pid for process in host.processes(programs=OUR_PROGRAMS))  # of somebody else who uses this checkout


@pytest.fixture(scope="session")
def daemon() -> Iterator[Engine]:
    directory = Path(tempfile.mkdtemp(prefix="eci-", dir="/tmp"))
    try:
        with running(directory, directory / "s", "runc" if PLAIN else "eci-runc") as engine:
            yield engine
    finally:
        server = host.listener_of(directory / "s/fork.sock")
        if server is not None:
            os.kill(server, signal.SIGTERM)
            wait_gone(server)
        shutil.rmtree(directory)


def left_behind(engine: Engine) -> list[str]:
    """What is left of containers under eci-runc; engine, containerd and fork server stay."""
    state = engine.directory / "s"
    found = [f"process {p}" for p in host.processes(f"{state}/c", programs=OUR_PROGRAMS) if p.pid not in BEFORE]
    return found + [f"directory {path}" for path in state.glob("c/*")]


@pytest.fixture
def engine(daemon: Engine) -> Iterator[Engine]:
    """The engine, with no containers before and after, and nothing of ours left."""
    yield daemon
    daemon.remove_all()
    wait_until(lambda: not left_behind(daemon), f"nothing is left: {left_behind(daemon)}")


@pytest.fixture
def sleeper(engine: Engine) -> str:
    """The id of an ordinary container that runs."""
    return engine.detached("box", "sleep", "1000")


@pytest.fixture(scope="session")
def client_image(daemon: Engine) -> str:
    """The id of the image of docker_client."""
    return docker_client.make_image(daemon)


@pytest.fixture
def admin(engine: Engine, client_image: str) -> Iterator[Admin]:
    """Writes the admin's file, in which the client image is listed unless `listed` says otherwise."""
    with docker_client.admins_file(engine) as path:

        def write(listed: bool = True, commands: object = None, own: dict[str, object] | None = None, **rules: object) -> None:
            entry = {"image": f"id:{client_image}", **({"commandList": commands} if commands else {}), **(own or {})}
            path.write_text(docker_client.listing(engine, *([entry] if listed else []), **rules))

        yield write


@pytest.fixture
def client(engine: Engine, admin: Admin) -> str:
    """A container of the client image with the socket."""
    admin()
    return docker_client.started(engine)


@pytest.fixture(scope="session")
def relaying(daemon: Engine) -> Iterator[Gateway]:
    with served(daemon, daemon.directory / "gateway") as gateway:
        yield gateway


@pytest.fixture
def gateway(relaying: Gateway, engine: Engine) -> Gateway:
    """Before the engine, with default settings, and the engine's list of containers empty before and after."""
    relaying.permit()
    return relaying
