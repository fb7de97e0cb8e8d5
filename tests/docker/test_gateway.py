"""The relay before a real engine, with the docker CLI and with bytes as its clients."""
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.engine import COMMAND_S
from tests.support.gateway import Gateway, request
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "docker", "busybox", "runc", "seccomp_notify", "fuse")


def test_what_runs_through_it_runs_under_this_runtime(gateway: Gateway) -> None:
    assert gateway.docker("run", "--rm", "--runtime=runc", "box", "cat", "/proc/self/uid_map").ok().out.split()[1] != "0"


def test_isolation_that_is_off_is_forced_on_nobody(gateway: Gateway) -> None:
    gateway.permit(value=False)
    assert gateway.docker("run", "--rm", "--runtime=runc", "box", "cat", "/proc/self/uid_map").ok().out.split()[1] == "0"
    assert gateway.docker("run", "--rm", "--pid=host", "box", "true").status == 125


def test_streams_are_the_engines(gateway: Gateway) -> None:
    done = gateway.docker("run", "--rm", "-i", "box", "sh", "-c", "cat; echo to stderr >&2; exit 7", stdin="said\n")
    assert (done.status, done.out, done.err) == (7, "said\n", "to stderr\n")


def test_a_life_through_it(gateway: Gateway, tmp_path: Path) -> None:
    name = gateway.docker("run", "-d", "--name=life", "box", "sh", "-c", "echo up; exec sleep 1000").ok().out.strip()
    assert gateway.docker("exec", "life", "echo", "inside").ok().out == "inside\n"
    assert gateway.docker("exec", "-i", "life", "cat", stdin="in").ok().out == "in"
    assert gateway.docker("logs", "life").ok().out == "up\n"
    (tmp_path / "file").write_text("carried")
    gateway.docker("cp", f"{tmp_path}/file", "life:/tmp/file").ok()
    gateway.docker("cp", "life:/tmp/file", f"{tmp_path}/back").ok()
    assert (tmp_path / "back").read_text() == "carried"
    assert "sleep" in gateway.docker("top", "life").ok().out
    assert name.startswith(gateway.docker("ps", "-q").ok().out.strip())
    gateway.docker("restart", "-t0", "life").ok()
    gateway.docker("stop", "-t0", "life").ok()
    assert gateway.docker("wait", "life").ok().out == "137\n"
    gateway.docker("rm", "life").ok()


def test_images_pass_both_ways(gateway: Gateway) -> None:
    command = ["docker", f"--host=unix://{gateway.socket}"]
    with subprocess.Popen([*command, "save", "box"], stdout=subprocess.PIPE) as save:
        loaded = subprocess.run([*command, "load"], stdin=save.stdout, capture_output=True, timeout=COMMAND_S, check=True)
    assert b"Loaded image" in loaded.stdout


@pytest.mark.parametrize(("options", "says"), [
    (["--pid=host"], "HostConfig.PidMode"), (["--network=host"], "HostConfig.NetworkMode"), (["--ipc=host"], "HostConfig.IpcMode"),
    (["--uts=host"], "HostConfig.UTSMode"), (["--volume-driver=other"], "HostConfig.VolumeDriver"),
    (["--log-driver=syslog"], "HostConfig.LogConfig.Type"), (["--oom-score-adj=-500"], "HostConfig.OomScoreAdj"),
    (["--label=eci.parent=x"], "Labels.eci.parent"), (["--gpus=all"], "HostConfig.DeviceRequests"),
    (["--mount=type=volume,dst=/v,volume-driver=other"], "HostConfig.Mounts[0].VolumeOptions.DriverConfig.Name"),
    (["--mount=type=volume,dst=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc"],
     "HostConfig.Mounts[0].VolumeOptions.DriverConfig.Options"),
])  # fmt: skip
def test_what_a_body_may_not_ask(gateway: Gateway, options: list[str], says: str) -> None:
    done = gateway.docker("run", "--rm", *options, "box", "true")
    assert done.status == 125
    assert f"enhanced container isolation: docker socket: {says}" in done.err


def test_containers_of_another_runtime_are_out_of_reach(gateway: Gateway) -> None:
    other = gateway.engine.detached("--runtime=runc", "--name=other", "box", "sleep", "1000")
    for words in (("exec", "other", "id"), ("stop", other), ("cp", "/etc/hostname", "other:/x"), ("rm", "-f", other[:12]),
                  ("run", "--rm", "--network=container:other", "box", "true"), ("run", "--rm", "--volumes-from=other", "box", "true"),
                  ("commit", "other", "stolen")):  # fmt: skip
        done = gateway.docker(*words)
        assert done.status != 0, words
        assert "it is no container of this runtime" in done.err, (words, done)
    for verb, path in (("GET", f"{other}/attach/ws?stdin=1"), ("POST", "other/attach?stream=1"), ("PUT", f"{other[:12]}/archive?path=/")):
        assert gateway.bytes(request(verb, f"/v1.41/containers/{path}")).startswith(b"HTTP/1.1 403 "), path
    assert gateway.docker("inspect", "--format={{.Name}}", "other").ok().out == "/other\n"
    assert gateway.engine.docker("inspect", "--format={{.State.Running}}", other).out == "true\n"


def test_a_namespace_of_ours_may_be_shared(gateway: Gateway) -> None:
    gateway.docker("run", "-d", "--name=first", "box", "sleep", "1000").ok()
    done = gateway.docker("run", "--rm", "--network=container:first", "box", "true")
    assert done.status == 0, done


@pytest.mark.parametrize("body", [
    b'{"Image":"box","HostConfig":{},"HostConfig":{"Privileged":true}}', b'{"Image":"box","HostConfig":{},"hostconfig":{}}',
    b'{"Image":"box"} {}', b'\xef\xbb\xbf{"Image":"box"}', b'[' * 100 + b']' * 100, b'{"Image":"box","HostConfig":{"Binds":"x"}}',
    b"not json", b'{"Image":"\\ud800"}', b'{"Image":NaN}',
])  # fmt: skip
def test_json_that_two_parsers_read_in_two_ways(gateway: Gateway, body: bytes) -> None:
    status, answer = gateway.post("/containers/create", body)
    assert status == 400
    assert "malformed request" in str(answer["message"])


def test_unknown_keys_are_left_out(gateway: Gateway) -> None:
    status, answer = gateway.post("/containers/create", {"Image": "box", "HostConfig": {
        "Runtime": "runc", "UsernsMode": "host", "CgroupParent": "/x", "Unheard": 1}})  # fmt: skip
    assert status == 201, answer
    made = json.loads(gateway.docker("inspect", str(answer["Id"])).ok().out)[0]["HostConfig"]
    assert (made["Runtime"], made["UsernsMode"], made["CgroupParent"]) == ("eci-runc", "", "")


def test_a_body_too_large_is_not_passed_on(gateway: Gateway) -> None:
    gateway.permit(maxBodyBytes=65536)
    assert gateway.post("/containers/create", b'{"Image":"' + b"x" * 70000 + b'"}')[0] == 413


def test_lists_hold_from_the_next_request(gateway: Gateway) -> None:
    gateway.docker("images").ok()
    gateway.permit(commandList={"type": "deny", "commands": ["images"]})
    done = gateway.docker("images")
    assert done.status != 0
    assert '/images/json" is blocked; if you wish to allow it, configure the docker socket command list in ' in done.err
    gateway.permit(commandList={"type": "allow", "commands": ["ps"]})
    gateway.docker("ps").ok()
    gateway.docker("version").ok()
    assert gateway.docker("images").status != 0
    refused = [event for event in gateway.events() if event["rule"] == "socket.command"]
    assert any(f"[{event['id']}]" in done.err for event in refused)


@pytest.mark.parametrize("words", [("plugin", "install", "x"), ("swarm", "init"), ("service", "create", "box"),
                                   ("network", "create", "--driver=macvlan", "n"),
                                   ("volume", "create", "--opt=type=none", "--opt=o=bind", "--opt=device=/etc", "v")])  # fmt: skip
def test_what_administers_the_engine_is_closed(gateway: Gateway, words: tuple[str, ...]) -> None:
    done = gateway.docker(*words)
    assert done.status != 0
    assert "enhanced container isolation" in done.err


@pytest.mark.parametrize("raw", [
    request("GET", "/v1.041/info"), request("GET", "//info"), request("GET", "/x/../info"), request("GET", "/info%00"),
    request("GET", "http://docker/info"), request("POST", "/containers/create", b"{}", b"Transfer-Encoding: chunked"),
    request("GET", "/info", b"", b"Content-Length: 0", b"Content-Length: 0"), b"GET /info HTTP/1.0\r\nHost: x\r\n\r\n",
    b"GET /info HTTP/1.1\nHost: x\n\n\r\n\r\n", b"GET /info HTTP/1.1\r\nHost: x\r\n Folded: y\r\n\r\n", b"GET /info HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /info HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /info HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    request("POST", "/containers/create", b"", b"Transfer-Encoding: xchunked"), request("GET", "/" + "a" * 70000),
])  # fmt: skip
def test_a_request_that_two_servers_read_in_two_ways(gateway: Gateway, raw: bytes) -> None:
    answer = gateway.bytes(raw)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"malformed request" in answer


@pytest.mark.parametrize("target", ["/containers/jso", "/Info", "/debug/vars", "/containers/x/copy", "/session/x"])
def test_what_is_no_endpoint(gateway: Gateway, target: str) -> None:
    assert b" 404 " in gateway.bytes(request("GET", target))[:20]


def test_versions_in_the_engines_words(gateway: Gateway) -> None:
    assert b"client version 1.23 is too old" in gateway.bytes(request("GET", "/v1.23/info"))
    assert b"too new" in gateway.bytes(request("GET", "/v1.99/info"))


def test_nothing_behind_a_failed_upgrade_reaches_the_engine(gateway: Gateway) -> None:
    attach = b"POST /v1.41/containers/none/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    hidden = request("POST", "/v1.41/images/box/tag?repo=smuggled&tag=1")
    answer = gateway.bytes(attach + hidden)
    assert answer.count(b"HTTP/1.1") == 1
    assert b" 404 " in answer[:20]
    assert "smuggled" not in gateway.docker("images").ok().out


def test_an_engine_that_is_gone_is_said(gateway: Gateway) -> None:
    gateway.permit(engine="/run/no-such-engine.sock")
    done = gateway.docker("ps")
    assert "the engine does not answer on /run/no-such-engine.sock" in done.err


def test_a_client_that_goes_is_forgotten(gateway: Gateway) -> None:
    before = len(os.listdir(f"/proc/{gateway.pid}/fd"))
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(gateway.socket))
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.01)
    wait_until(lambda: len(os.listdir(f"/proc/{gateway.pid}/fd")) <= before + 1, "every connection is closed, the engine's too")
