"""The three files of Docker's manual, as docs/settings.md has them: each loads and acts as the manual says, with images of a registry."""
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker_client import IMAGE, TOOLS, admins_file, inside, python, started
from tests.support.driver import REPOSITORY
from tests.support.engine import REGISTRY, Engine
from tests.support.registry import Registry
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse", "docker_registry")
RYUK = "testcontainers/ryuk:0.8.1"
NAMES = ("library/docker:cli", "library/docker:dind", "testcontainers/suite:1", "ci/tool:1")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", (REPOSITORY / "docs/settings.md").read_text(), re.DOTALL)]


@pytest.fixture(scope="module")
def published(daemon: Engine, client_image: str) -> Iterator[None]:
    """The images that the files name, in a registry that is the engine's mirror of docker.io, and pulled from it."""
    registry = Registry(daemon, daemon.directory / "registry")
    try:
        registry.start()
        for name in NAMES:
            registry.push(IMAGE, name)
        made = daemon.docker("create", "--runtime=runc", IMAGE, "true").ok().out.strip()
        daemon.docker("cp", str(REPOSITORY / "tests/programs/ryuk.sh"), f"{made}:/bin/ryuk").ok()
        daemon.docker("commit", '--change=CMD ["/bin/ryuk"]', made, "stand-in").ok()
        daemon.docker("rm", made).ok()
        registry.push("stand-in", RYUK)
        pulled = ["docker:cli", "docker:dind", "testcontainers/suite:1", f"{REGISTRY}/ci/tool:1", RYUK]
        for name in pulled:
            daemon.docker("pull", name).ok()
        yield
        daemon.docker("rmi", "--force", "stand-in", *pulled).ok()
    finally:
        registry.stop()


@pytest.fixture
def in_force(engine: Engine, published: None) -> Iterator[Path]:
    with admins_file(engine) as path:
        yield path


def put(path: Path, engine: Engine, example: dict[str, object]) -> None:
    """As it is, but for where this engine listens and what its registry is called."""
    text = json.dumps({**example, "eci": {"dockerSocket": {"engine": str(engine.socket)}}})
    path.write_text(text.replace("registry.example:5000", REGISTRY))


def works(engine: Engine, client: str, *commands: str) -> None:
    for command in commands:
        done = inside(engine, client, *command.split())
        assert done[0] == 0, (command, done)


def blocked(engine: Engine, client: str, *commands: str) -> None:
    for command in commands:
        done = inside(engine, client, *command.split(), stdin="FROM box\n")
        assert "is blocked" in done[2] + done[1], (command, done)


def test_43_testcontainers(engine: Engine, in_force: Path) -> None:
    """A suite that is killed leaves containers and a network; its helper, which has a socket of its own, removes them."""
    put(in_force, engine, EXAMPLES[0])
    suite = started(engine, *TOOLS, f"--env=TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE={engine.socket}", image="testcontainers/suite:1")
    done = python(engine, suite, "testcontainers_client.py")
    assert (done.status, done.out) == (0, "served True\nexec inside\n"), done
    wait_until(lambda: engine.docker("ps", "--all", "--quiet", "--no-trunc").out.split() == [suite], "ryuk has removed the rest")
    assert engine.docker("network", "ls", "--quiet", "--filter=type=custom").out == ""
    blocked(engine, suite, "push box", "build -")
    refused = engine.run(f"--volume={engine.socket}:/var/run/docker.sock", "docker:cli", "true")
    assert "image is not in the allowed list" in refused.err


@pytest.mark.parametrize("image", ["docker:cli", f"{REGISTRY}/ci/tool:1"])
def test_continuous_integration(engine: Engine, in_force: Path, image: str) -> None:
    put(in_force, engine, EXAMPLES[1])
    client = started(engine, image=image)
    works(engine, client, "ps", "container ls", "images", "pull docker:cli", "run --rm box true", "version")
    blocked(engine, client, "volume ls", "network ls", "system df", "volume prune --force", f"login -u=x -p=x {REGISTRY}")


def test_development(engine: Engine, in_force: Path) -> None:
    """30: a prune is a part of `system prune`, and closed with it."""
    put(in_force, engine, EXAMPLES[2])
    client = started(engine, image="docker:dind")
    works(engine, client, "ps", "volume ls", "network create n", "network rm n", "version")
    blocked(engine, client, "system df", "info", "events --since=1 --until=2", "system prune --force", "volume prune --force")
    put(in_force, engine, {"enhancedContainerIsolation": {"value": True, "dockerSocketMount": {
        "imageList": {"images": ["docker:dind"]}, "commandList": {"type": "deny", "commands": ["container*"]}}}})  # fmt: skip
    blocked(engine, client, "ps", "run box true", "container ls")  # 29
    works(engine, client, "images")
