"""Ruling 28: no way from a container to any socket of the engine's own, or of its containerd's, by whatever name it is reached."""
import json
import subprocess
from pathlib import Path

import pytest

from tests.docker.conftest import Admin
from tests.support.docker_client import SOCKET, inside, started
from tests.support.engine import TCP_PORT, Engine
from tests.support.gateway import Gateway

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")


def restricted(engine: Engine, source: Path, client: str = "") -> str:
    """What is said of a bind of `source`, of whose kind nothing is allowed; asked of the engine, or through a container's socket."""
    words = ("run", "--rm", f"--volume={source}:/x", "box", "true")
    err = inside(engine, client, *words)[2] if client else engine.docker(*words).err
    assert f"can't mount {source} because it's configured as a restricted host mount" in err, err
    return err


def test_directories_that_hold_one(engine: Engine, admin: Admin) -> None:
    """A bind of a directory would show the sockets in it: the engine's second one, its containerd's, its network's."""
    admin()
    client = started(engine)
    other = engine.other_socket
    assert f"; it contains {other}" in restricted(engine, other.parent)
    assert f"; it contains {other}" in restricted(engine, other.parent, client)
    restricted(engine, engine.directory)
    elsewhere = engine.directory / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", other.parent, elsewhere], check=True)
    try:
        restricted(engine, elsewhere)
    finally:
        subprocess.run(["umount", elsewhere], check=True)
        elsewhere.rmdir()
    for name in ("", "containerd", "containerd/containerd.sock"):
        restricted(engine, engine.directory / "exec" / name)


def test_its_second_socket_is_the_relays_inside(engine: Engine, admin: Admin) -> None:
    """An image that may have the socket has the relay's in place of either; what a container of it asks is judged."""
    admin(commands={"type": "allow", "commands": ["ps"]})
    client = engine.detached(f"--volume={engine.other_socket}:{SOCKET}", "client", "sleep", "1000")
    assert inside(engine, client, "ps", "-q", "--no-trunc")[1].split() == [client]
    assert "is blocked" in inside(engine, client, "images")[2]


def test_its_tcp_socket_on_loopback(engine: Engine) -> None:
    """A container's loopback is its own, and the bridge's address is not where the engine listens."""
    asked = engine.inside_network("busybox", "wget", "-qO-", f"http://127.0.0.1:{TCP_PORT}/_ping")
    assert asked.out == "OK"
    script = "for host in 127.0.0.1 $(ip r | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); do nc -w2 $host $0 </dev/null || echo $?; done"
    result = engine.run("box", "sh", "-c", script, str(TCP_PORT))
    assert (result.out, result.err.count("refused")) == ("1\n1\n", 2), result


def test_the_gateways_own_socket(gateway: Gateway) -> None:
    """Nor is what stands before the engine a socket that a container may bind."""
    done = gateway.docker("run", "--rm", f"--volume={gateway.socket}:/x", "box", "true")
    assert "it is a socket of the host that is not the engine's" in done.err


def test_a_create_with_the_socket_is_judged_at_once(engine: Engine, gateway: Gateway) -> None:
    """Through the gateway: the client hears of its image at create, and no container is left to be started; the event has the code."""
    bind = f"--volume={engine.socket}:{SOCKET}"
    done = gateway.docker("create", bind, "box", "true")
    assert done.status == 1
    assert 'docker socket mount denied for container with image "docker.io/library/box:latest"; image is not in the allowed' in done.err
    assert engine.docker("ps", "--all", "--quiet").out == ""
    assert gateway.events()[-1]["rule"] == "socket.image"
    assert gateway.docker("create", bind, "no-such-image", "true").err.count("mount denied") == 0
    soft = engine.directory / "soft.sock"
    soft.symlink_to(engine.other_socket)
    try:
        assert "mount denied" in gateway.docker("create", "--mount", f"type=bind,src={soft},dst=/s", "box", "true").err
    finally:
        soft.unlink()
    identity = json.loads(engine.docker("inspect", "box").ok().out)[0]["Id"]
    gateway.permit(images=[{"image": f"id:{identity}"}])
    assert gateway.docker("create", bind, "box", "true").status == 0
