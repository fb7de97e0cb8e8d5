"""One engine for the whole tier, and one image made of busybox. ECI_TEST_PLAIN=1: runc is its runtime, to see that the tests are right."""
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import host
from tests.support.driver import REPOSITORY
from tests.support.engine import Engine
from tests.support.gateway import Gateway, served
from tests.support.rootfs import make_root
from tests.support.waiting import wait_gone, wait_until

PLAIN = bool(os.environ.get("ECI_TEST_PLAIN"))
OUR_PROGRAMS = REPOSITORY / "eci_supervisor/bin"
BEFORE = frozenset(process.pid for process in host.processes(programs=OUR_PROGRAMS))  # of somebody else who uses this checkout


@pytest.fixture(scope="session")
def daemon() -> Iterator[Engine]:
    directory = Path(tempfile.mkdtemp(prefix="eci-", dir="/tmp"))
    directory.chmod(0o711)
    engine = Engine(directory, "runc" if PLAIN else "eci-runc", (f"--state-dir={directory}/s", f"--audit-dir={directory}/audit",
                                                                         f"--settings={directory}/admin-settings.json"))
    engine.start()
    try:
        engine.import_image(make_root(directory / "image"), "box", 'CMD ["sh"]', "ENV PATH=/bin")
        yield engine
    finally:
        engine.close()
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
def relaying(daemon: Engine) -> Iterator[Gateway]:
    with served(daemon, daemon.directory / "gateway") as gateway:
        yield gateway


@pytest.fixture
def gateway(relaying: Gateway, engine: Engine) -> Gateway:
    """Before the engine, with default settings, and the engine's list of containers empty before and after."""
    relaying.permit()
    return relaying
