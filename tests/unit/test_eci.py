"""What `eci` shows: status, shortened ids, lines that no container can write on, JSON for programs."""
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from eci_supervisor.control import doctor, listing, render
from eci_supervisor.control.cli import main
from eci_supervisor.control.listing import NotOne, Status
from eci_supervisor.life import record
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState, Mode, container_key


def state(container_id: str = "0123456789abcdef0123", root: str = "/run/runc", **more: object) -> ContainerState:
    plain = {"key": container_key(root, container_id), "id": container_id, "root": root, "bundle": "/b", "mode": Mode.ECI,
             "ids": IdRange(165536), "token": "secret", "real_runtime": "/usr/sbin/runc", "audit_dir": "/tmp", "created": 100.0,
             "rootfs": "/r"}
    return ContainerState(**{**plain, **more})  # type: ignore[arg-type] # plain is of ContainerState's types


def stored(tmp_path: Path, *states: ContainerState) -> str:
    for one in states:
        directory = StateDir(str(tmp_path)).container(one.key)
        os.makedirs(directory.path)
        record.store(directory, one)
    return str(tmp_path)


@pytest.mark.parametrize(("init_pid", "init_alive", "supervisor_alive", "age_s", "expected"), [
    (0, False, True, 5.0, Status.CREATING),
    (0, False, False, 5.0, Status.CREATING),
    (0, False, False, 3600.0, Status.STOPPED),
    (7, True, True, 3600.0, Status.SUPERVISED),
    (7, True, False, 3600.0, Status.UNSUPERVISED),
    (7, False, False, 5.0, Status.STOPPED),
])
def test_status(init_pid: int, init_alive: bool, supervisor_alive: bool, age_s: float, expected: Status) -> None:
    found = listing.status(state(init_pid=init_pid), init_alive=init_alive, supervisor_alive=supervisor_alive, now=100.0 + age_s)
    assert found is expected


def test_an_id_may_be_shortened_to_what_is_one_containers_alone() -> None:
    first, second = state("abc1"), state("abc2")
    assert listing.the_one([first, second], "abc1") is first
    assert listing.the_one([first, state("abc12")], "abc1") is first
    for wrong in ("abc", "x", ""):
        with pytest.raises(NotOne):
            listing.the_one([first, second], wrong)


def test_one_id_under_two_roots_is_told_apart_by_the_root() -> None:
    docker, podman = state("web", "/run/docker"), state("web", "/run/podman")
    with pytest.raises(NotOne, match="/run/docker, /run/podman"):
        listing.the_one([docker, podman], "web")
    assert listing.the_one([docker, podman], "/run/podman/web") is podman


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0s"), (61, "1m 1s"), (3600 * 25, "1d 1h"), (7199, "1h 59m")])
def test_duration(seconds: float, text: str) -> None:
    assert listing.duration(seconds) == text


def test_ps_shortens_ids_and_breaks_no_lines(tmp_path: Path) -> None:
    alive = state("f" * 64, init_pid=os.getpid(), init_start=start_time(os.getpid()))
    done = CliRunner().invoke(main, ["--state-dir", stored(tmp_path, alive), "ps"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[:4] == ["f" * 12, "unsupervised", "eci", "165536-231071"]
    assert "\x1b" not in done.output


def test_ps_json_is_a_list_oldest_first(tmp_path: Path) -> None:
    directory = stored(tmp_path, state("b", created=2.0), state("a", created=1.0))
    done = CliRunner().invoke(main, ["ps", "--json", "--state-dir", directory])
    assert [row["id"] for row in json.loads(done.output)] == ["a", "b"]


def test_no_containers_are_no_error(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["ps", "--state-dir", str(tmp_path / "none")]).exit_code == 0


def test_inspect_of_a_stopped_container_and_never_its_token(tmp_path: Path) -> None:
    directory = stored(tmp_path, state("web1", masked=("/proc/kcore", "/sys/firmware")))
    found = json.loads(CliRunner().invoke(main, ["inspect", "--json", "--state-dir", directory, "web"]).output)
    assert found["status"] == "stopped"
    assert found["supervisor"] is None
    assert "/kcore" in found["trees"][0]["mask"]
    assert "secret" not in json.dumps(found)
    shown = CliRunner().invoke(main, ["inspect", "--state-dir", directory, "web1"])
    assert shown.exit_code == 0
    assert "secret" not in shown.output


@pytest.mark.parametrize("command", [["inspect", "x"], ["events", "x"]])
def test_an_unknown_id_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    done = CliRunner().invoke(main, ["--state-dir", str(tmp_path), *command])
    assert done.exit_code == 1
    assert done.output.startswith("eci: no container")
    assert done.output.count("\n") == 1


def test_an_event_acts_on_no_terminal() -> None:
    event = {"time": 0, "container": "w\x1b[2J", "call": "mount", "verdict": "deny", "errno": 1, "args": {"target": "[red]x\x07\u202e"},
             "pid": 1, "uid": 0, "why": "because", "id": "00"}
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=200).print(render.event_line(event), soft_wrap=True)
    assert "[red]x\\x07\\u202e" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


@pytest.mark.parametrize(("release", "version"), [("6.18.44-fc", (6, 18)), ("5.10.0-28-amd64", (5, 10)), ("6.1", (6, 1)), ("x", (0, 0))])
def test_kernel_version(release: str, version: tuple[int, int]) -> None:
    assert doctor.kernel_version(release) == version


def test_doctor_ends_with_1_where_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = doctor.Finding(doctor.Level.FAIL, "kernel", "2.6", "Use a newer kernel.")
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: bad,))
    done = CliRunner().invoke(main, ["doctor", "--json", "--state-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert json.loads(done.output) == [{"level": "fail", "what": "kernel", "found": "2.6", "advice": "Use a newer kernel."}]


def test_every_finding_that_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    for finding in doctor.findings(StateDir(str(tmp_path))):
        assert finding.advice or finding.level is doctor.Level.OK, finding


@pytest.mark.parametrize("command", ["ps", "inspect", "events", "doctor"])
def test_help_of_every_command(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert "--json" in shown
    assert "--state-dir" in shown
