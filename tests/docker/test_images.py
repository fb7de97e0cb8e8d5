"""Acceptance 16 to 24: which images' containers may mount the engine's socket, with a real engine and a real registry."""
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.driver import Result
from tests.support.engine import REGISTRY, Engine
from tests.support.registry import CLOSED, PASSWORD, USER, Registry

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse", "docker_registry")
DENIED = ('enhanced container isolation: docker socket mount denied for container with image "{}"; image is not in the allowed list; '
          "if you wish to allow it, configure the docker socket image list in {}")  # fmt: skip
HOUR_S = 3600


@pytest.fixture(scope="module")
def registry(daemon: Engine) -> Iterator[Registry]:
    """With docker:cli, which the engine has pulled."""
    registry = Registry(daemon, daemon.directory / "registry")
    try:
        registry.start()
        variant(daemon, "published", "box", "one")
        registry.push("published", "library/docker:cli")
        daemon.docker("rmi", "--force", "published").ok()
        daemon.docker("pull", "docker:cli").ok()
        yield registry
    finally:
        registry.stop()


def variant(engine: Engine, name: str, base: str, word: str) -> None:
    """An image with one more layer."""
    container = engine.docker("create", "--runtime=runc", base, "true").ok().out.strip()
    path = engine.directory / f"{word}.txt"
    path.write_text(word)
    engine.docker("cp", str(path), f"{container}:/{word}.txt").ok()
    engine.docker("commit", container, name).ok()
    engine.docker("rm", container).ok()


@pytest.fixture
def settings(engine: Engine) -> Iterator[Callable[..., Path]]:
    """Writes the admin's file; what has been asked of registries before is forgotten."""
    path = engine.directory / "admin-settings.json"

    def write(*images: str, derived: bool = True, commands: dict[str, object] | None = None, **own: object) -> Path:
        mount = {"imageList": {"images": images, "allowDerivedImages": derived}, "commandList": commands or {}}
        path.write_text(json.dumps({
            "enhancedContainerIsolation": {"value": True, "dockerSocketMount": mount},
            "eci": {"dockerSocket": {"engine": str(engine.socket), **own}}}))
        (engine.directory / "s/lib/digests.json").unlink(missing_ok=True)
        return path

    yield write
    path.unlink()


def asked(engine: Engine, image: str) -> Result:
    """`docker run` with the engine's socket."""
    return engine.run("-v", f"{engine.socket}:/var/run/docker.sock", image, "true")


def denied(engine: Engine, result: Result, image: str, detail: str = "") -> None:
    """Docker's sentence for that image, with an event's id at its end, exit 125."""
    assert result.status == 125, result
    sentence = re.escape(DENIED.format(image, engine.directory / "admin-settings.json") + detail)
    assert re.search(rf"{sentence}[^\n]* \[[0-9a-f]{{16}}\]", result.err), result.err


def explained(engine: Engine, image: str) -> dict[str, object]:
    """What `eci policy explain` says of an image."""
    done = engine.explain(image)
    found = json.loads(done.ok().out)
    assert isinstance(found, dict)
    return found


def test_no_settings_file(engine: Engine, registry: Registry) -> None:
    """16: the engine is known though it does not listen where it does by default, and the sentence says what to write besides."""
    cure = f"; its engine listens on {engine.socket}: name that in eci.dockerSocket.engine"
    denied(engine, asked(engine, "docker:cli"), "docker.io/library/docker:cli", cure)


def test_by_every_way_to_the_socket(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """16, 17: not listed, by -v, --mount, --volumes-from, a hard link, a symbolic link, by another socket of the same engine."""
    settings("other:cli")
    image = "docker.io/library/docker:cli"
    denied(engine, asked(engine, "docker:cli"), image)
    denied(engine, engine.run("--mount", f"type=bind,src={engine.socket},dst=/s", "docker:cli", "true"), image)
    donor = engine.docker("create", "-v", f"{engine.socket}:/s", "docker:cli", "true").ok().out.strip()
    denied(engine, engine.run("--volumes-from", donor, "docker:cli", "true"), image)
    hard, soft = engine.directory / "hard.sock", engine.directory / "soft.sock"
    os.link(engine.socket, hard)
    soft.symlink_to(engine.socket)
    for path in (hard, soft, engine.other_socket):
        denied(engine, engine.run("-v", f"{path}:/s", "docker:cli", "true"), image)
    for path in (hard, soft):
        path.unlink()


def test_listed_and_pulled(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    settings("docker:cli")
    found = explained(engine, "docker:cli")
    assert (found["allowed"], found["entry"]) == (True, "docker:cli")
    settings("library/*:*")
    assert explained(engine, "docker:cli")["allowed"] is True


def test_retagged(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """19: a tag of somebody's own proves nothing, and both digests are named."""
    settings("docker:cli", derived=False)
    engine.docker("tag", "docker:cli", "keep:1").ok()
    engine.docker("tag", "box", "docker:cli").ok()
    try:
        denied(engine, asked(engine, "docker:cli"), "docker.io/library/docker:cli", "; local digest none, allowed sha256:")
    finally:
        engine.docker("tag", "keep:1", "docker:cli").ok()
        engine.docker("rmi", "keep:1").ok()


def test_the_image_of_create_decides(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """20: a tag that is moved between create and start changes nothing."""
    settings("docker:cli", derived=False)
    engine.docker("tag", "docker:cli", "keep:1").ok()
    engine.docker("tag", "box", "docker:cli").ok()
    container = engine.docker("create", "-v", f"{engine.socket}:/s", "docker:cli", "true").ok().out.strip()
    engine.docker("tag", "keep:1", "docker:cli").ok()
    engine.docker("rmi", "keep:1").ok()
    result = engine.docker("start", container)
    assert result.status == 1
    assert "docker socket mount denied" in result.err


def test_derived(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """21: built on a listed image; allowed, refused with the cure, refused once the parent is gone. Under a second."""
    settings("docker:cli")
    variant(engine, "mine:1", "docker:cli", "mine")
    begin = time.monotonic()
    assert explained(engine, "mine:1")["base"] == "docker.io/library/docker:cli"
    assert time.monotonic() - begin < 5.0
    settings("docker:cli", derived=False)
    denied(engine, asked(engine, "mine:1"), "docker.io/library/mine:1", "; its parent docker:cli is listed: set allowDerivedImages to true")
    settings("docker:cli")
    engine.docker("rmi", "docker:cli").ok()
    denied(engine, asked(engine, "mine:1"), "docker.io/library/mine:1")
    engine.docker("pull", "docker:cli").ok()
    engine.docker("rmi", "mine:1").ok()


def aged(engine: Engine, hours: float) -> None:
    """As if registries had last been asked so long ago."""
    path = engine.directory / "s/lib/digests.json"
    memory = json.loads(path.read_text())
    for seen in memory["tags"].values():
        for one in seen:
            one["first"] -= hours * HOUR_S
            one["last"] -= hours * HOUR_S
    path.write_text(json.dumps(memory))


def test_registry_down(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """22: the last answer is good for its time, then the refusal says why."""
    settings("docker:cli")
    assert explained(engine, "docker:cli")["allowed"] is True
    registry.stop()
    try:
        aged(engine, 1)
        assert explained(engine, "docker:cli")["allowed"] is True
        aged(engine, 72)
        found = explained(engine, "docker:cli")
        assert found["allowed"] is False
        assert "its last answer is 73 h old" in str(found["detail"])
        settings("docker:cli")
        assert "never asked before" in str(explained(engine, "docker:cli")["detail"])
    finally:
        registry.start()


def test_tag_moved_upstream(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """23: the old copy is refused at once, or stays good for the time that the settings give."""
    variant(engine, "newer", "box", "newer")
    for superseded, allowed in (("0s", False), ("1d", True)):
        settings("docker:cli", derived=False, digests={"superseded": superseded})
        assert explained(engine, "docker:cli")["allowed"] is True
        engine.docker("tag", "docker:cli", "keep:1").ok()
        registry.push("newer", "library/docker:cli")
        aged(engine, 1)
        found = explained(engine, "docker:cli")
        assert found["allowed"] is allowed
        assert ("local digest" in str(found["detail"])) is not allowed
        registry.push("keep:1", "library/docker:cli")
        engine.docker("rmi", "keep:1").ok()
    engine.docker("rmi", "newer").ok()


def test_by_digest_and_id_without_network(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    digest = json.loads(engine.docker("inspect", "docker:cli").ok().out)[0]["RepoDigests"][0].partition("@")[2]
    identifier = json.loads(engine.docker("inspect", "box").ok().out)[0]["Id"]
    registry.stop()
    try:
        settings(f"docker@{digest}", images=[{"image": f"id:{identifier}", "commandList": {"type": "allow", "commands": ["ps"]}}])
        assert explained(engine, "docker:cli")["allowed"] is True
        assert explained(engine, "box")["entry"] == f"id:{identifier}"
    finally:
        registry.start()


def test_invalid_settings(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """25, 26: the last good policy stays; where there is none, plain containers run and the socket is refused with the error."""
    path = settings("other:cli")
    denied(engine, asked(engine, "docker:cli"), "docker.io/library/docker:cli")
    path.write_text(path.read_text().replace("true", '"yes"'))
    engine.run("box", "true").ok()
    denied(engine, asked(engine, "docker:cli"), "docker.io/library/docker:cli")
    for name in ("policy.bin", "policy.last"):
        (engine.directory / "s" / name).unlink()
    engine.run("box", "true").ok()
    refused = asked(engine, "docker:cli")
    assert refused.status == 125
    assert 'enhancedContainerIsolation.value: "yes": use true or false' in refused.err


def test_a_registry_that_asks_who_we_are(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """Over TLS and with basic auth: by the credentials of authFile, and by them alone."""
    closed = Registry(engine, engine.directory / "closed", CLOSED, closed=True)
    closed.start()
    try:
        engine.docker("login", "--username", USER, "--password-stdin", CLOSED, stdin=PASSWORD).ok()
        variant(engine, "mine", "box", "closed")
        closed.push("mine", "ci/x:1")
        engine.docker("pull", f"{CLOSED}/ci/x:1").ok()
        settings(f"{CLOSED}/ci/*:*", derived=False, digests={"authFile": str(engine.directory / "client/config.json")})
        assert explained(engine, f"{CLOSED}/ci/x:1")["allowed"] is True
        settings(f"{CLOSED}/ci/*:*", derived=False)
        closed_to_us = explained(engine, f"{CLOSED}/ci/x:1")
        assert (closed_to_us["allowed"], "digests.authFile" in str(closed_to_us["detail"])) == (False, True)
        engine.docker("rmi", "mine", f"{CLOSED}/ci/x:1").ok()
    finally:
        closed.stop()


def test_a_registry_that_does_not_answer(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """It is waited for ten seconds at most, and said."""
    settings("docker:cli")
    registry.stop()
    silent = subprocess.Popen([*engine.network(), "busybox", "nc", "-l", "-p", REGISTRY.rpartition(":")[2]], stdin=subprocess.PIPE)
    try:
        begin = time.monotonic()
        result = asked(engine, "docker:cli")
        assert time.monotonic() - begin < 15.0
        denied(engine, result, "docker.io/library/docker:cli", "; ")
        assert "has not answered in time" in result.err or "cannot be reached" in result.err
    finally:
        silent.kill()
        silent.wait()
        assert silent.stdin is not None
        silent.stdin.close()
        registry.start()


def test_learn_mode(engine: Engine, registry: Registry, settings: Callable[..., Path]) -> None:
    """44: what a list alone refuses passes, and is recorded with what would have been said; hard rules refuse all the same."""
    path = settings("other:cli")
    whole = json.loads(path.read_text())
    whole["eci"] |= {"audit": {"mode": "learn"}, "bindMounts": {"allowed": ["/nowhere"]}}
    path.write_text(json.dumps(whole))
    engine.run("-v", f"{engine.socket}:/s", "-v", "/srv:/srv", "docker:cli", "true").ok()
    events = [json.loads(line) for line in (engine.directory / "audit/audit.jsonl").read_text().splitlines()]
    learnt = {(event["rule"], event["args"].get("settings")) for event in events if event["verdict"] == "learn"}
    assert learnt >= {("socket.image", ""), ("mount.restricted", "eci.bindMounts.allowed")}
    assert "restricted host mount" in engine.run("-v", "/etc/shadow:/x", "docker:cli", "true").err
