"""The fork server: started on demand, one for each state directory, and nothing of its callers in it."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eci_supervisor import VERSION
from eci_supervisor.forkserver import client, protocol
from eci_supervisor.forkserver.client import ForkServerError
from eci_supervisor.life import record
from eci_supervisor.linux.sockets import listen_unix
from tests.support.driver import ECI_RUNC
from tests.support.supervised import ROOT, Place, Supervised, fds
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "fuse", "seccomp_notify")
NOBODY = 65534
UNKNOWN = "0" * 20


@pytest.fixture
def place() -> Iterator[Place]:
    path = Path(tempfile.mkdtemp(prefix="eci-fs-", dir="/tmp"))
    path.chmod(0o711)
    made = Place(path)
    yield made
    made.end()
    shutil.rmtree(path)


def raw(place: Place, *packets: bytes) -> list[bytes]:
    """The answers to packets of one connection; b"" is a server that has hung up."""
    answers = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(place.state_dir.fork_socket)
        for packet in packets:
            connection.send(packet)
            answers.append(connection.recv(65536))
    return answers


def spawn_unknown(place: Place) -> str:
    """Asks for a container that nobody has written down; the sentence of the refusal."""
    with client.request_spawn(place.state_dir, UNKNOWN) as connection, pytest.raises(ForkServerError) as refused:
        client.wait_ready(connection)
    return str(refused.value)


def test_of_callers_that_race_one_starts_it(place: Place) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(spawn_unknown(place))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 4
    assert all("no such" in answer.lower() for answer in answers), answers
    wait_until(lambda: len(place.processes()) == 1, "the fork server alone is left")
    assert place.processes()[0].pid == place.server() == client.ping(place.state_dir)


def test_killed_it_is_started_again(place: Place) -> None:
    client.start(place.state_dir)
    first = client.ping(place.state_dir)
    os.kill(first, signal.SIGKILL)
    wait_gone(first)
    spawn_unknown(place)
    assert client.ping(place.state_dir) != first


def test_nothing_of_its_caller_is_in_it(place: Place) -> None:
    """An engine reads create's output to its end, so no pipe may stay open; no terminal, no session, no environment, no directory."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    os.environ["ECI_TEST_MARK"] = "inherited"
    try:
        client.start(place.state_dir)
    finally:
        del os.environ["ECI_TEST_MARK"]
        os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
    server = Path(f"/proc/{client.ping(place.state_dir)}")
    assert b"ECI_TEST_MARK" not in (server / "environ").read_bytes()
    assert os.readlink(server / "cwd") == "/"
    assert int((server / "stat").read_text().rpartition(")")[2].split()[3]) != os.getsid(0)
    assert (server / "comm").read_text() == "eci-forkserver\n"
    wait_until(lambda: sum(name.startswith("socket:") for name in fds(int(server.name))) == 1, "its own socket is all it has")
    assert not any(name.startswith("pipe:") for name in fds(int(server.name)))


def test_one_that_cannot_start_says_why(place: Place) -> None:
    os.mkdir(place.state_dir.fork_socket)
    with pytest.raises(ForkServerError, match=r"did not start: .*fork\.sock"):
        client.start(place.state_dir)
    os.rmdir(place.state_dir.fork_socket)


def test_it_goes_when_nobody_needs_it(place: Place) -> None:
    client.start(place.state_dir, "0.1")
    wait_until(lambda: not place.processes(), "it has gone by itself")


def test_another_version_is_told_ours(place: Place) -> None:
    client.start(place.state_dir)
    for request in (b"ping\0009.9", b"spawn\0009.9\0" + b"0" * 20, b"reclaim\0009.9\0/r\0i"):
        assert raw(place, request) == [b"version\0" + VERSION.encode()]


def test_a_server_of_another_version_loses_its_place(place: Place) -> None:
    """Its containers keep it alive; who comes now is served by one of our version."""
    with listen_unix(place.state_dir.fork_socket, socket.SOCK_SEQPACKET) as other:
        other.settimeout(20)

        def answer() -> None:
            for _ in range(2):  # the first look, and the one under the lock
                connection, _ = other.accept()
                with connection:
                    connection.recv(1000)
                    connection.send(protocol.pack_answer(protocol.OtherVersion("0.0.1")))

        thread = threading.Thread(target=answer)
        thread.start()
        spawn_unknown(place)
        thread.join(20)
    assert place.server() not in (None, os.getpid())


def test_an_old_server_goes_with_its_last_container(place: Place) -> None:
    place.recorded("web")
    client.start(place.state_dir)
    old = client.ping(place.state_dir)
    supervised = place.supervised("web")
    client.start(place.state_dir)
    assert client.ping(place.state_dir) != old
    assert os.path.exists(f"/proc/{old}")
    supervised.terminate()
    wait_gone(old)
    spawn_unknown(place)


def test_another_user_is_refused(place: Place) -> None:
    client.start(place.state_dir)
    assert os.stat(place.state_dir.fork_socket).st_mode & 0o777 == 0o600
    os.chmod(place.state_dir.fork_socket, 0o666)  # so that only SO_PEERCRED is left
    child = os.fork()
    if child == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            os._exit(0 if raw(place, b"ping\0" + VERSION.encode()) == [b""] else 1)
        except (ConnectionResetError, BrokenPipeError):
            os._exit(0)
        except BaseException:  # noqa: BLE001 # a child of a test must not return into pytest
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_silent_connections_are_bounded_and_others_are_served(place: Place) -> None:
    client.start(place.state_dir)
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(300)]
    try:
        for connection in silent:
            connection.connect(place.state_dir.fork_socket)
        server = client.ping(place.state_dir)
        assert len(fds(server)) < 100
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("packet", [b"\xff", b"spawn\0" + VERSION.encode() + b"\0../../etc", b"x" * 9000,
                                    b"reclaim\0" + VERSION.encode()])
def test_junk_is_refused_and_the_next_is_served(place: Place, packet: bytes) -> None:
    client.start(place.state_dir)
    assert raw(place, packet)[0].startswith(b"error\0")
    assert client.ping(place.state_dir) == place.server()


def test_fds_that_nobody_asked_for_are_closed(place: Place) -> None:
    client.start(place.state_dir)
    server = client.ping(place.state_dir)
    before = len(fds(server))  # the connection of the ping may be among them
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(place.state_dir.fork_socket)
        socket.send_fds(connection, [b"ping\0" + VERSION.encode()], [write, write])
        connection.recv(100)
        os.close(write)
        assert os.read(read, 1) == b""
        os.close(read)
    wait_until(lambda: len(fds(server)) <= before, "the server holds no more than it held")


def test_reclaim_of_an_unknown_container_succeeds(place: Place) -> None:
    with pytest.raises(client.NoServerError):
        client.reclaim(place.state_dir, ROOT, "nobody")
    client.start(place.state_dir)
    client.reclaim(place.state_dir, ROOT, "nobody")


def test_reclaim_ends_the_supervisor_and_leaves_nothing(place: Place) -> None:
    place.recorded("web")
    supervised = place.supervised("web")
    client.reclaim(place.state_dir, ROOT, "web")
    assert not os.path.exists(f"/proc/{supervised.pid}/exe")
    supervised.hang_up()
    assert os.listdir(place.state_dir.containers) == []
    wait_until(lambda: len(place.processes()) == 1, "the fork server alone is left")


def whose_init_is_gone(place: Place) -> Supervised:
    """A container as its supervisor sees it just before it ends; this one does not notice."""
    place.recorded("web")
    supervised = place.supervised("web")
    state = record.load(place.directory("web"))
    assert state is not None
    record.store(place.directory("web"), replace(state, init_pid=os.getpid(), init_start=1))
    return supervised


def test_reclaim_waits_for_a_supervisor_that_ends_by_itself(place: Place) -> None:
    """The usual end: delete comes a moment after init has gone. The server itself reclaims then, and serves others meanwhile."""
    supervised = whose_init_is_gone(place)
    server = client.ping(place.state_dir)
    children = Path(f"/proc/{server}/task/{server}/children").read_text()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(place.state_dir.fork_socket)
        connection.send(protocol.pack_request(protocol.Reclaim(ROOT, "web")))
        assert client.ping(place.state_dir) == server
        assert Path(f"/proc/{server}/task/{server}/children").read_text() == children
        supervised.terminate()
        connection.settimeout(5)
        assert connection.recv(100).startswith(b"ok")
    assert os.listdir(place.state_dir.containers) == []


def test_delete_says_by_its_command_line_what_is_over(place: Place) -> None:
    """Another root, an unforced delete that failed: nothing; then a relative root, as create takes it."""
    whose_init_is_gone(place).terminate()
    directory, name = os.path.split(ROOT)
    for root, runtime, left in (("/elsewhere", "/bin/true", 1), (f"{name}/", "/bin/false", 1), (name, "/bin/true", 0)):
        command = [str(ECI_RUNC), f"--state-dir={place.state_dir.path}", f"--real-runtime={runtime}", "--root", root, "delete", "web"]
        done = subprocess.run(command, cwd=directory, capture_output=True, timeout=20, check=False)
        assert (done.returncode, done.stderr, len(os.listdir(place.state_dir.containers))) == (int(runtime == "/bin/false"), b"", left)


def test_reclaim_ends_a_supervisor_that_does_not(place: Place) -> None:
    supervised = whose_init_is_gone(place)
    client.reclaim(place.state_dir, ROOT, "web")
    assert not os.path.exists(f"/proc/{supervised.pid}/exe")
    supervised.hang_up()
    assert os.listdir(place.state_dir.containers) == []


def test_reclaim_of_a_container_that_runs_is_refused(place: Place) -> None:
    (place.path / "runtime" / "web").mkdir(parents=True)  # the real runtime knows it
    with subprocess.Popen(["sleep", "60"]) as init:
        try:
            record.store(place.directory("web"), replace(place.running("web", init.pid), root=str(place.path / "runtime")))
            client.start(place.state_dir)
            with pytest.raises(ForkServerError, match="still runs"):
                client.reclaim(place.state_dir, ROOT, "web")
            assert init.poll() is None
        finally:
            init.kill()


def test_its_rehearsal_leaves_nothing(place: Place) -> None:
    """A supervisor's whole start has been run in the server's own process."""
    client.start(place.state_dir)
    server = client.ping(place.state_dir)
    proc = Path(f"/proc/{server}")
    assert proc.joinpath("comm").read_text() == "eci-forkserver\n"
    assert [task.name for task in proc.joinpath("task").iterdir()] == [str(server)]
    assert proc.joinpath(f"task/{server}/children").read_text() == ""
    assert str(place.path) not in proc.joinpath("mountinfo").read_text()
    assert not [fd for fd in fds(server) if "fuse" in fd or "rehearsal" in fd]
    assert not place.path.joinpath("rehearsal").exists()
    assert "more memory" not in place.path.joinpath("fork.log").read_text()
    assert "memfd:eci-pages" in proc.joinpath("maps").read_text()
    place.recorded("after")
    place.supervised("after").terminate()


def test_what_a_killed_rehearsal_left_is_removed(place: Place) -> None:
    place.path.joinpath("rehearsal/c/x").mkdir(parents=True)
    client.start(place.state_dir)
    assert not place.path.joinpath("rehearsal").exists()
