"""A container with a Docker socket of its own: acceptance 18, 27, 28, 35, 38 to 42, with the docker CLI as its client."""
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docker.conftest import Admin
from tests.support.docker_client import inside, started
from tests.support.driver import ECI
from tests.support.engine import Engine
from tests.support.waiting import wait_gone

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")


def test_18_the_socket_is_its_own(engine: Engine, client: str) -> None:
    assert client[:12] in inside(engine, client, "ps")[1]
    theirs, group, mode = engine.docker("exec", client, "stat", "-c", "%i %g %a", "/var/run/docker.sock").ok().out.split()
    assert (group, mode) == ("0", "660")
    assert int(theirs) != os.stat(engine.socket).st_ino


def test_a_group_of_the_containers_may_have_it(engine: Engine, admin: Admin) -> None:
    admin(own={"gid": 1000})
    client = started(engine, "--user=1000:1000")
    assert engine.docker("exec", client, "stat", "-c", "%u %g", "/var/run/docker.sock").ok().out == "0 1000\n"
    assert client[:12] in inside(engine, client, "ps")[1]


def test_35_what_it_makes_runs_under_this_runtime_and_says_whose_it_is(engine: Engine, client: str) -> None:
    made = inside(engine, client, "run", "-d", "--runtime=runc", "--userns=host", "box", "sleep", "1000")[1].strip()
    found = json.loads(engine.docker("inspect", made).ok().out)[0]
    assert (found["HostConfig"]["Runtime"], found["HostConfig"]["UsernsMode"]) == ("eci-runc", "")
    assert found["Config"]["Labels"] == {"eci.parent": client}


def test_38_streams(engine: Engine, client: str) -> None:
    assert inside(engine, client, "run", "--rm", "-i", "box", "sh", "-c", "cat; exit 7", stdin="said\n") == (7, "said\n", "")
    inside(engine, client, "run", "-d", "--name=long", "box", "sh", "-c", "echo up; exec sleep 1000")
    assert inside(engine, client, "logs", "long")[1] == "up\n"
    assert inside(engine, client, "exec", "long", "echo", "in")[1] == "in\n"
    assert inside(engine, client, "cp", "long:/etc/hostname", "-")[0] == 0
    assert inside(engine, client, "kill", "long")[0] == 0
    assert inside(engine, client, "wait", "long")[1] == "137\n"


def test_39_a_container_of_another_runtime_is_out_of_reach(engine: Engine, client: str) -> None:
    other = engine.detached("--runtime=runc", "box", "sleep", "1000")
    for words in (("exec", other, "id"), ("restart", other), ("cp", "/etc/passwd", f"{other}:/x")):
        status, _, err = inside(engine, client, *words)
        assert status != 0, words
        assert "it is no container of this runtime" in err, (words, err)


def test_27_28_lists_hold_from_the_next_request(engine: Engine, client: str, admin: Admin) -> None:
    admin(commands={"type": "deny", "commands": ["push"]})
    status, _, err = inside(engine, client, "push", "client")
    assert status != 0
    assert "/push" in err
    where = engine.directory / "admin-settings.json"
    assert f"is blocked; if you wish to allow it, configure the docker socket command list in {where}. [" in err
    admin(commands={"type": "allow", "commands": ["ps"]})
    assert inside(engine, client, "ps")[0] == 0
    assert inside(engine, client, "version")[0] == 0
    assert "is blocked" in inside(engine, client, "images")[2]


def test_a_right_that_is_taken_back(engine: Engine, client: str, admin: Admin) -> None:
    admin(listed=False)
    assert "is no longer in the allowed list" in refused(engine, inside(engine, client, "ps")[2])["why"]
    admin()
    assert inside(engine, client, "ps")[0] == 0


def test_own_scope_sees_what_it_made(engine: Engine, admin: Admin) -> None:
    admin(own={"scope": "own"})
    client = started(engine)
    stranger = engine.detached("box", "sleep", "1000")
    made = inside(engine, client, "run", "-d", "box", "sleep", "1000")[1].strip()
    assert inside(engine, client, "ps", "-q", "--no-trunc")[1].split() == [made]
    assert "it was not made through this socket" in inside(engine, client, "stop", stranger)[2]
    assert "it was not made through this socket" in inside(engine, client, "inspect", "--type=container", stranger)[2]
    assert inside(engine, client, "rm", "-f", made)[0] == 0


def test_40_a_socket_for_what_it_makes(engine: Engine, client: str) -> None:
    socket = f"--volume={engine.socket}:/var/run/docker.sock"
    assert inside(engine, client, "run", "--rm", socket, "client", "docker", "ps", "-q")[0] == 0
    status, _, err = inside(engine, client, "run", "--rm", socket, "box", "true")
    assert status == 125
    assert "image is not in the allowed list" in err


def test_42_no_relay_no_socket(engine: Engine, client: str) -> None:
    (directory,) = (engine.directory / "s/c").glob("*")
    supervisor = json.loads((directory / "state.json").read_text())["supervisor_pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_gone(supervisor)
    assert "Cannot connect" in inside(engine, client, "ps")[2]
    assert engine.docker("inspect", "--format={{.State.Running}}", client).ok().out == "true\n"


def test_an_invalid_file_is_reported_where_its_container_reports(engine: Engine, client: str, admin: Admin) -> None:
    Path(engine.directory, "admin-settings.json").write_text("{")
    assert inside(engine, client, "ps")[0] == 0
    assert "settings.invalid" in [event["rule"] for event in events(engine)]
    admin()


def events(engine: Engine) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(engine.directory, "audit/audit.jsonl").read_text().splitlines()]


def refused(engine: Engine, err: str) -> dict[str, Any]:
    """The event whose id stands at the end of what the client was told."""
    name = err.strip().rpartition("[")[2].partition("]")[0]
    (event,) = [event for event in events(engine) if event["id"] == name]
    return event


def test_every_refusal_is_in_the_audit_file(engine: Engine, client: str) -> None:
    event = refused(engine, inside(engine, client, "plugin", "install", "x")[2])
    assert (event["container"], event["verdict"], event["rule"]) == (client, "deny", "socket.engine")


def test_44_what_learn_mode_saw_can_be_printed(engine: Engine, admin: Admin, client_image: str) -> None:
    path = engine.directory / "admin-settings.json"
    strict = {"type": "allow", "commands": []}
    path.write_text(json.dumps({
        "enhancedContainerIsolation": {"value": True, "dockerSocketMount": {"imageList": {"images": []}, "commandList": strict}},
        "eci": {"dockerSocket": {"engine": str(engine.socket)}, "audit": {"mode": "learn"}}}))  # fmt: skip
    client = started(engine)
    assert inside(engine, client, "ps")[0] == 0
    assert inside(engine, client, "volume", "ls")[0] == 0
    assert "host" in inside(engine, client, "run", "--rm", "--pid=host", "box", "true")[2]
    words = [str(ECI), "policy", "suggest", f"--settings={path}", f"--audit-dir={engine.directory}/audit"]
    made = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    path.write_text(json.dumps(made))
    assert inside(engine, client, "ps")[0] == 0
    assert "is blocked" in inside(engine, client, "images")[2]
    assert made["eci"]["dockerSocket"]["images"] == [{"image": f"id:{client_image}"}]
    again = started(engine)
    assert inside(engine, again, "volume", "ls")[0] == 0
    assert "is blocked" in inside(engine, again, "network", "ls")[2]
