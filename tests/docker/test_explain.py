"""From the id at the end of a refusal to what an admin can do: `eci explain`, for each way to be refused."""
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.driver import ECI
from tests.support.engine import Engine
from tests.support.gateway import Gateway, request

pytestmark = pytest.mark.requires("root", "docker", "dockerd", "busybox", "runc", "seccomp_notify", "fuse")


def explained(sentence: str, audit: Path) -> dict[str, str]:
    """What is said of the id at the end of a sentence."""
    found = re.search(r"\[([0-9a-f]{16})\]", sentence)
    assert found, sentence
    words = [str(ECI), "explain", found[1], "--json", f"--audit-dir={audit}"]
    told = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert isinstance(told, dict)
    assert told["why"] in sentence.replace('\\"', '"')
    assert told["allow"]
    return told


def line_of(told: dict[str, str]) -> str:
    """The line of the settings that it leads to."""
    path, _, number = told["file"].rpartition(":")
    return Path(path).read_text().splitlines()[int(number) - 1]


@pytest.mark.parametrize(("code", "raw", "line"), [
    ("socket.command", request("GET", "/images/json"), '"commandList"'),
    ("socket.engine", request("POST", "/swarm/init"), '"dockerSocket"'),
    ("socket.engine", request("POST", "/build", b"", b"Content-Length: 0"), '"builds"'), ("socket.unknown", request("GET", "/x"), ""),
    ("socket.body", request("POST", "/containers/create", b'{"HostConfig":{"PidMode":"host"}}'), ""),
    ("socket.request", request("GET", "//info"), ""),
    ("socket.request", request("POST", "/containers/create", b" " * 70000), '"maxBodyBytes"'),
], ids=lambda value: value.split()[1].decode() if isinstance(value, bytes) else value)  # fmt: skip
def test_what_the_relay_refuses(gateway: Gateway, code: str, raw: bytes, line: str) -> None:
    gateway.permit(commandList={"type": "deny", "commands": ["images"]}, maxBodyBytes=65536, builds=False)
    told = explained(gateway.bytes(raw).decode(), gateway.audit)
    assert told["code"] == code
    assert line in line_of(told) if line else not told["file"]


def test_an_engine_that_is_gone(gateway: Gateway) -> None:
    gateway.permit(engine="/run/no-such-engine.sock")
    told = explained(gateway.bytes(request("GET", "/_ping")).decode(), gateway.audit)
    assert told["code"] == "socket.gone"
    assert "eci.dockerSocket.engine" in told["allow"]


@pytest.mark.parametrize(("options", "code", "line"), [
    (["--pid=host"], "namespace.shared", ""), (["-v", "/etc/shadow:/x"], "mount.restricted", ""),
    (["-v", "/srv:/x"], "mount.restricted", "/srv"), (["-v", "{socket}:/x"], "socket.image", ""),
])  # fmt: skip
def test_what_a_start_refuses(engine: Engine, options: list[str], code: str, line: str) -> None:
    path = engine.directory / "admin-settings.json"
    path.write_text(json.dumps({"enhancedContainerIsolation": {"value": True}, "eci": {
        "dockerSocket": {"engine": str(engine.socket)}, "bindMounts": {"denied": ["/srv"]}}}, indent=1))  # fmt: skip
    try:
        done = engine.run(*(option.format(socket=engine.socket) for option in options), "box", "true")
        told = explained(done.err, engine.directory / "audit")
        assert told["code"] == code
        assert not line or line in line_of(told)
    finally:
        path.unlink()
