"""Registries that an engine cannot trust, or that lead it astray: no socket, a clear sentence, and nobody waits for long."""
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver import REPOSITORY
from tests.support.engine import Engine
from tests.support.registry import STRICT, UNKNOWN, Registry
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "dockerd", "docker", "runc", "seccomp_notify", "fuse", "docker_registry")
ODD = "127.0.0.1:5004"
MOST_S = 15.0  # ten, and what a loaded machine takes


@pytest.fixture
def listed(engine: Engine) -> Iterator[Callable[..., None]]:
    """Writes the admin's file with these entries; what has been asked of registries before is forgotten."""
    path = engine.directory / "admin-settings.json"

    def write(*images: str) -> None:
        mount = {"imageList": {"images": images, "allowDerivedImages": False}}
        path.write_text(json.dumps({
            "enhancedContainerIsolation": {"value": True, "dockerSocketMount": mount},
            "eci": {"dockerSocket": {"engine": str(engine.socket)}}}))  # fmt: skip
        (engine.directory / "s/lib/digests.json").unlink(missing_ok=True)

    yield write
    path.unlink()


@pytest.fixture(scope="module")
def odd(daemon: Engine) -> Iterator[None]:
    """tests/programs/odd_registry.py, in the engine's network."""
    port = ODD.rpartition(":")[2]
    program = REPOSITORY / "tests/programs/odd_registry.py"
    process = subprocess.Popen([*daemon.network(), sys.executable, str(program), port], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: f":{int(port):04X} 00000000:0000 0A" in daemon.inside_network("cat", "/proc/self/net/tcp").out, "it listens")
        yield
    finally:
        process.kill()
        process.wait()


def judged(engine: Engine, image: str) -> dict[str, Any]:
    """What `eci policy explain` says of an image of that name, and that it says it soon."""
    engine.docker("tag", "box", image).ok()
    try:
        begin = time.monotonic()
        found = json.loads(engine.explain(image).ok().out)
        assert time.monotonic() - begin < MOST_S
    finally:
        engine.docker("rmi", image).ok()
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("repository", "says"), [
    *((name, f"the registry {ODD} cannot be reached") for name in ("loop", "away", "garbage", "endless", "broken")),
    ("wrong", "local digest none"), ("token", "eci.dockerSocket.digests.authFile"),
])  # fmt: skip
def test_what_leads_astray(engine: Engine, odd: None, listed: Callable[..., None], repository: str, says: str) -> None:
    listed(f"{ODD}/{repository}/x:1")
    found = judged(engine, f"{ODD}/{repository}/x:1")
    assert found["allowed"] is False
    assert says in found["detail"], found["detail"]


def test_certificates(engine: Engine, listed: Callable[..., None], tmp_path: Path) -> None:
    """Of an authority that the engine knows, and of one that it does not."""
    engine.inside_network("busybox", "ip", "address", "add", "10.99.0.1/32", "dev", "lo").ok()
    known = Registry(engine, tmp_path / "known", STRICT, trusted=True)
    stranger = Registry(engine, tmp_path / "unknown", UNKNOWN)
    try:
        known.start()
        stranger.start()
        known.push("box", "ci/x:1")
        engine.docker("pull", f"{STRICT}/ci/x:1").ok()
        listed(f"{STRICT}/ci/x:1", f"{UNKNOWN}/ci/x:1")
        assert json.loads(engine.explain(f"{STRICT}/ci/x:1").ok().out)["allowed"] is True
        found = judged(engine, f"{UNKNOWN}/ci/x:1")
        assert found["allowed"] is False
        assert "certificate" in found["detail"], found
    finally:
        known.stop()
        stranger.stop()
        engine.docker("rmi", f"{STRICT}/ci/x:1")
        engine.inside_network("busybox", "ip", "address", "del", "10.99.0.1/32", "dev", "lo").ok()
