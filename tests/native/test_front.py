"""eci-runc as a program: what the real runtime gets of its command line, and when Python is asked instead.

The real runtime is a shell script here that prints its arguments: what the front passes on is the question, not what comes of it.
"""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor import VERSION
from tests.support.driver import ECI_RUNC
from tests.support.waiting import wait_until

SAYS_ARGUMENTS = '#!/bin/sh\nfor word in "$@"; do printf "[%s]" "$word"; done\nexit ${STATUS:-0}\n'


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    program = tmp_path / "runc"
    program.write_text(SAYS_ARGUMENTS)
    program.chmod(0o755)
    return program


def front(*words: str, path: Path | None = None, status: int = 0, program: Path = ECI_RUNC) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin", "STATUS": str(status)}
    return subprocess.run([program, *words], capture_output=True, text=True, env=environment, timeout=30, check=False)


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("--root /r --log=l state web1", "[--root][/r][--log=l][state][web1]"),
        ("--mode=system --root /r --state-dir /s -audit-dir=/a kill web1 15", "[--root][/r][kill][web1][15]"),
        ("--state-dir /s --debug start web1 --mode=eci", "[--debug][start][web1][--mode=eci]"),
        ("--root --mode=eci state x", "[--root][--mode=eci][state][x]"),
        ("--frobnicate start x", "[--frobnicate][start][x]"),
        ("--version", "[--version]"),
        ("", ""),
    ],
)
def test_all_but_our_options_are_passed_on(echo: Path, given: str, passed: str) -> None:
    done = front(*given.split(), path=echo.parent, status=7)
    assert (done.stdout, done.returncode) == (passed, 7)


def test_the_real_runtime_can_be_named(echo: Path) -> None:
    other = echo.rename(echo.with_name("other"))
    assert front(f"--real-runtime={other}", "state", "x").stdout == "[state][x]"
    assert front("--real-runtime", "other", "state", "x", path=other.parent).stdout == "[state][x]"


def test_it_does_not_take_itself_for_the_real_one(echo: Path) -> None:
    itself = echo.parent / "first"
    itself.mkdir()
    (itself / "runc").symlink_to(ECI_RUNC)
    done = subprocess.run(
        [itself / "runc", "state", "x"], capture_output=True, text=True, env={"PATH": f"{itself}:{echo.parent}:/bin"}, check=False
    )
    assert done.stdout == "[state][x]"


@pytest.mark.parametrize(
    "words", [("checkpoint", "x"), ("restore", "x"), ("--frob", "nicate", "create", "x"), ("--frob", "nicate", "run", "x")]
)
def test_what_must_not_reach_the_real_runtime(echo: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    log = tmp_path / "log"
    done = front(f"--log={log}", "--log-format=json", *words, path=echo.parent)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert log.read_text().count('"level":"error"') == 1


def test_no_runtime_is_one_sentence(tmp_path: Path) -> None:
    done = front("--real-runtime=/nowhere/runc", "state", "x")
    assert done.returncode == 1
    assert "no real runtime" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_python_is_one_sentence(tmp_path: Path) -> None:
    alone = tmp_path / "eci-runc"
    alone.write_bytes(ECI_RUNC.read_bytes())
    alone.chmod(0o755)
    done = front("create", "x", program=alone)
    assert done.returncode == 1
    assert "python3" in done.stderr


@pytest.fixture
def fork_socket(tmp_path: Path) -> Iterator[socket.socket]:
    """A listener in the fork server's place."""
    (tmp_path / "s/c").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "s/fork.sock"))
        listener.listen()
        listener.settimeout(10)
        yield listener


def answering(listener: socket.socket, answer: bytes, packets: list[bytes]) -> threading.Thread:
    def answer_one() -> None:
        connection, _ = listener.accept()
        with connection:
            packets.append(connection.recv(8192))
            connection.send(answer)

    thread = threading.Thread(target=answer_one)
    thread.start()
    return thread


@pytest.mark.parametrize(("words", "status"), [(("delete", "web1"), 0), (("delete", "--force", "web1"), 3)])
def test_delete_is_the_runtimes_then_ours(echo: Path, fork_socket: socket.socket, words: tuple[str, ...], status: int) -> None:
    packets: list[bytes] = []
    thread = answering(fork_socket, b"ok", packets)
    done = front(f"--state-dir={echo.parent}/s", "--root=/r/", *words, path=echo.parent, status=status)
    thread.join()
    assert done.returncode == status
    assert done.stdout == "[--root=/r/]" + "".join(f"[{word}]" for word in words)
    assert packets == [b"\0".join((b"deleted", VERSION.encode(), os.fsencode(echo), str(status).encode()))]


def test_delete_without_a_server_succeeds(echo: Path) -> None:
    (echo.parent / "s/c").mkdir(parents=True)
    done = front(f"--state-dir={echo.parent}/s", "delete", "--force", "web1", path=echo.parent)
    assert (done.returncode, done.stderr) == (0, "")


def test_delete_passes_signals_on(tmp_path: Path) -> None:
    waits = tmp_path / "runc"
    waits.write_text(f'#!/bin/sh\ntrap "echo got; exit 5" TERM\necho $$ > {tmp_path}/pid\nwhile :; do sleep 0.05; done\n')
    waits.chmod(0o755)
    with subprocess.Popen([ECI_RUNC, "delete", "x"], stdout=subprocess.PIPE, env={"PATH": f"{tmp_path}:/bin:/usr/bin"}) as child:
        wait_until((tmp_path / "pid").exists, "the runtime runs")
        os.kill(child.pid, signal.SIGTERM)
        assert child.communicate(timeout=10)[0] == b"got\n"
        assert child.returncode == 5


@pytest.fixture
def control(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()
        listener.settimeout(10)
        yield listener


@pytest.mark.parametrize(
    ("answer", "status", "left"),
    [
        (b'{"v":1,"ok":true}\n', 0, None),
        (b'{"v":1,"ok":false,"error":"sysctl a.b: EPERM \\"ok\\":true"}\n', 1, 'sysctl a.b: EPERM \\"ok\\":true\n'),
        (b"", 1, "the supervisor ended\n"),
        (b"{}\n", 1, "the supervisor's answer is none\n"),
    ],
)
def test_the_hook(tmp_path: Path, control: socket.socket, answer: bytes, status: int, left: str | None) -> None:
    said: list[bytes] = []

    def answer_one() -> None:
        connection, _ = control.accept()
        with connection, connection.makefile("rb") as lines:
            said.append(lines.readline())
            connection.sendall(answer)

    thread = threading.Thread(target=answer_one)
    thread.start()
    words = [str(ECI_RUNC), "--eci-hook", str(tmp_path / "control.sock")]
    done = subprocess.run(words, input='{"id": "web1",\n "pid": 7}', capture_output=True, text=True, timeout=30, check=False)
    thread.join()
    assert said == [b'{"v":1,"do":"attach","state":{"id": "web1",  "pid": 7}}\n']
    assert (done.returncode, done.stderr or None) == (status, left)
    kept = tmp_path / "hook.error"
    assert (kept.read_text() if kept.exists() else None) == left


def test_the_hook_without_a_supervisor(tmp_path: Path) -> None:
    done = subprocess.run([ECI_RUNC, "--eci-hook", str(tmp_path / "control.sock")], input="{}", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ended" in done.stderr
