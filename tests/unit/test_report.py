"""What an engine reads: one JSON value a line, one sentence a value, whatever the sentence holds."""
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.oci.report import MAX_SENTENCE, Reporter, one_line, render_json, render_text


@contextmanager
def stderr_in(path: Path) -> Iterator[None]:
    """The process' fd 2 is a file: the reporter writes there, not to sys.stderr."""
    saved = os.dup(2)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 2)
    os.close(fd)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@given(st.text())
def test_a_record_is_one_line_of_json(text: str) -> None:
    record = render_json("error", one_line(text), 1700000000.5)
    assert record.count(b"\n") == 1
    assert record.endswith(b"\n")
    parsed = json.loads(record)
    assert parsed["time"] == "2023-11-14T22:13:20Z"
    assert parsed["level"] == "error"
    assert parsed["msg"].isprintable()
    assert len(parsed["msg"]) <= MAX_SENTENCE + 1


@given(st.text())
def test_a_text_record_is_one_line(text: str) -> None:
    assert render_text("error", one_line(text), 0).count(b"\n") == 1


def test_an_error_goes_to_stderr_and_is_the_last_record(tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text('{"level":"warning","msg":"before"}\n')
    with stderr_in(tmp_path / "err"):
        Reporter("create", "web1", str(log), json_log=True).error("no\x1b[31m way\n")
    assert (tmp_path / "err").read_text() == "eci-runc: create web1: no\\x1b[31m way\\n\n"
    assert [json.loads(line)["msg"] for line in log.read_text().splitlines()] == ["before", "no\\x1b[31m way\\n"]


def test_an_empty_log_holds_one_object(tmp_path: Path) -> None:
    """podman takes the whole file for one."""
    log = tmp_path / "log"
    with stderr_in(tmp_path / "err"):
        Reporter("create", "web1", str(log), json_log=True).error("no")
    assert json.loads(log.read_text())["msg"] == "no"


def test_a_warning_stays_off_the_containers_stderr(tmp_path: Path) -> None:
    with stderr_in(tmp_path / "err"):
        Reporter("create", "web1", str(tmp_path / "log"), json_log=True).warning("weaker")
        Reporter("create", "web1").warning("told")
    assert (tmp_path / "err").read_text() == "eci-runc: create web1: warning: told\n"
    assert json.loads((tmp_path / "log").read_text())["level"] == "warning"


@pytest.mark.parametrize("log", ["/nowhere/log", "/proc/version"])
def test_a_log_that_cannot_be_written_does_not_hide_the_error(tmp_path: Path, log: str) -> None:
    with stderr_in(tmp_path / "err"):
        Reporter("create", "web1", log, json_log=True).error("no")
    assert (tmp_path / "err").read_text().startswith("eci-runc: create web1: no\n")
