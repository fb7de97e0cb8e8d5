"""eci ps, inspect, events, doctor; the audit file; and who may ask."""
import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.driver import ECI, Container
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


def test_ps_lists_what_runs(containers: Launch) -> None:
    container = containers().up()
    (row,) = json.loads(container.runtime.eci("ps", "--json").ok().out)
    assert (row["id"], row["root"]) == (container.id, str(container.runtime.root))
    assert row["ids"] == {"start": container.record().ids.start, "count": 65536}
    assert container.id in container.runtime.eci("ps").ok().out
    container.remove()
    assert json.loads(container.runtime.eci("ps", "--json").ok().out) == []


def test_ps_says_unsupervised(container: Container) -> None:
    container.kill_supervisor()
    assert "unsupervised" in container.runtime.eci("ps").ok().out


def test_inspect_by_a_shortened_id(container: Container) -> None:
    shown = json.loads(container.runtime.eci("inspect", container.id[:-1], "--json").ok().out)
    assert shown["id"] == container.id
    assert container.id in container.runtime.eci("inspect", container.id).ok().out


def test_inspect_of_an_unknown_id_is_one_sentence(container: Container) -> None:
    result = container.runtime.eci("inspect", "nobody")
    assert result.status != 0
    assert len(result.err.splitlines()) == 1


def test_events_say_who_what_and_why(privileged: Container) -> None:
    privileged.probe("mount", "proc", "/t", "proc", "-", ",", "umount", "/proc/uptime")
    lines = privileged.runtime.eci("events", privileged.id, "--json").ok().lines
    events = [json.loads(line) for line in lines]
    mount = next(event for event in events if event["call"] == "mount" and event["verdict"] == "emulate")
    assert {"v", "id", "time", "container", "root", "pid", "tid", "uid", "abi", "args", "errno", "rule", "why", "duration_us"} <= set(mount)
    assert mount["container"] == privileged.id
    assert mount["errno"] == 0
    assert next(event for event in events if event["call"] == "umount2")["errno"] in (0, 22)


def test_events_followed(privileged: Container) -> None:
    """--follow shows events as they happen, and ends with the container."""
    out = privileged.runtime.directory / "followed"
    command = [str(ECI), "events", privileged.id, "--follow", "--json", f"--state-dir={privileged.runtime.state_dir}"]

    def shown() -> bool:
        privileged.probe("mount", "proc", "/t", "proc", "-")
        return b'"emulate"' in out.read_bytes()

    with out.open("wb") as file, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file) as child:
        wait_until(shown, "the event is shown")
        privileged.kill().ok()
        assert child.wait(10) == 0


def test_audit_holds_emulations_and_no_raw_bytes(privileged: Container) -> None:
    """JSON lines; bytes that a container chose are escaped."""
    privileged.sh("mkdir '/tmp/a\033[31m\nb'; probe mount proc '/tmp/a\033[31m\nb' proc -").ok()
    file = privileged.runtime.audit_dir / "audit.jsonl"

    def emulations() -> list[dict[str, object]]:
        records = [json.loads(line) for line in file.read_text().splitlines()]
        return [r for r in records if r["container"] == privileged.id and r["verdict"] == "emulate"]

    wait_until(lambda: file.exists() and emulations(), "the emulation is in the audit file")
    assert b"\033" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_control_socket_is_for_root_alone(container: Container) -> None:
    path = Path(container.directory.control_socket)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(container.runtime.state_dir.stat().st_mode) == 0o711


def test_control_socket_survives_junk(container: Container) -> None:
    for junk in (b"\n", b"{}\n", b"[" * 100000, os.urandom(4096) + b"\n", b'{"v":1,"do":"nothing"}\n', b'{"v":99,"do":"inspect"}\n'):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(container.directory.control_socket)
            try:
                client.sendall(junk)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                continue
    assert container.runtime.eci("inspect", container.id).status == 0


def test_doctor_finds_this_host_fit(container: Container) -> None:
    shown = container.runtime.eci("doctor", "--json").ok()
    checks = json.loads(shown.out)
    assert checks
    assert container.runtime.eci("doctor").ok().out
