"""The audit file: what a line looks like, and what a container cannot do to it."""
import json
import os
from pathlib import Path

from eci_supervisor.model.event import Event
from eci_supervisor.observe.audit import BURST_LINES, AuditFile, line


def event(**more: object) -> Event:
    plain = {"id": "00" * 8, "time": 1.5, "container": "web1", "root": "/run/runc", "pid": 7, "tid": 8, "uid": None, "call": "mount",
             "abi": "x86_64", "args": {}, "verdict": "deny", "errno": 1, "rule": "mount", "why": "because"}
    return Event(**{**plain, **more})  # type: ignore[arg-type] # plain is of Event's types


def test_a_line_holds_no_byte_of_a_containers_choice() -> None:
    text = line(event(args={"target": "/a\n\x1b[2J\u2028\udcff"}))
    assert text.count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in text[:-1])
    assert json.loads(text)["args"]["target"] == "/a\n\x1b[2J\u2028\udcff"


def test_file_and_directory_are_the_owners_alone(tmp_path: Path) -> None:
    audit = AuditFile(str(tmp_path / "log" / "eci"))
    assert audit.write(event())
    audit.close()
    assert (tmp_path / "log" / "eci").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "log" / "eci" / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_flood_is_cut_and_the_loss_is_told(tmp_path: Path) -> None:
    now = [0.0]
    audit = AuditFile(str(tmp_path), clock=lambda: now[0])
    written = sum(audit.write(event()) for _ in range(int(BURST_LINES) + 1000))
    assert written == BURST_LINES
    now[0] = 1.0
    assert audit.write(event())
    audit.close()
    lines = [json.loads(text) for text in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [entry["count"] for entry in lines if entry["call"] == "dropped"] == [1000]


def test_the_file_is_renamed_away_at_its_limit_and_old_ones_go(tmp_path: Path) -> None:
    audits = [AuditFile(str(tmp_path), limit_bytes=1000, clock=lambda: 0.0) for _ in range(2)]
    for number in range(60):
        assert audits[number % 2].write(event())
    for audit in audits:
        audit.close()
    names = sorted(os.listdir(tmp_path))
    assert {f"audit.jsonl.{generation}" for generation in range(1, 5)} == set(names) - {".lock", "audit.jsonl"}
    assert sum((tmp_path / name).stat().st_size for name in names) < 5 * 1600


def test_a_link_is_not_followed_and_a_failing_disk_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").symlink_to("/etc/passwd")
    audit = AuditFile(str(tmp_path))
    assert not audit.write(event())
    assert audit.error
    assert AuditFile("/proc/nowhere").write(event()) is False
