"""The fork server short of what it needs: descriptors, for a connection and for a child; and before it has a log of its own."""
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_supervisor import VERSION
from eci_supervisor.forkserver import client
from eci_supervisor.forkserver.client import ForkServerError
from tests.kernel.test_forkserver import UNKNOWN, place, raw
from tests.support.supervised import Place, fds
from tests.support.waiting import wait_until

__all__ = ["place"]
pytestmark = pytest.mark.requires("root", "fuse", "seccomp_notify")


@contextmanager
def room_for(server: int, more: int) -> Iterator[None]:
    """The server may have `more` descriptors beside those it has."""
    used = {int(name) for name in os.listdir(f"/proc/{server}/fd")}
    free = (fd for fd in range(1000) if fd not in used)
    limit = [next(free) for _ in range(more + 1)][-1]
    before = resource.prlimit(server, resource.RLIMIT_NOFILE)
    resource.prlimit(server, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server, resource.RLIMIT_NOFILE, before)


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def cpu_ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.fixture
def server(place: Place) -> int:
    client.start(place.state_dir)
    pid = client.ping(place.state_dir)
    wait_until(lambda: sum(name.startswith("socket:") for name in fds(pid)) == 1, "the ping is forgotten")
    return pid


def test_no_descriptor_for_a_connection(place: Place, server: int) -> None:
    """Each is told so, and none is left to wake it up again and again."""
    with room_for(server, 0):
        for _ in range(3):
            with pytest.raises(ForkServerError, match=r"out of file descriptors \(Too many open files\)\. Remove"):
                client.ping(place.state_dir)
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
        for connection in silent:
            connection.settimeout(10)
            connection.connect(place.state_dir.fork_socket)
        for connection in silent:
            assert connection.recv(1000).startswith(b"error\0the fork server is out of file descriptors")
            connection.close()
        before = cpu_ticks(server)
        with pytest.raises(TimeoutError):
            wait_until(lambda: cpu_ticks(server) > before + 10, "it spins", 0.3)
    assert client.ping(place.state_dir) == server == place.server()


def test_no_descriptor_for_a_child(place: Place, server: int) -> None:
    """It has forked and cannot watch over what it has forked."""
    with room_for(server, 1), client.request_spawn(place.state_dir, UNKNOWN) as connection:
        with pytest.raises(ForkServerError, match="out of file descriptors"):
            client.wait_ready(connection)
        assert children(server) == ""
    place.recorded("web")
    place.supervised("web").terminate()
    assert client.ping(place.state_dir) == server


def test_no_descriptor_for_what_comes_along(place: Place, server: int) -> None:
    read, write = os.pipe()
    with room_for(server, 1), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(place.state_dir.fork_socket)
        socket.send_fds(connection, [b"watch\0" + VERSION.encode() + b"\0" + UNKNOWN.encode()], [read, write])
        assert b"more descriptors than" in connection.recv(1000)
    os.close(read)
    os.close(write)
    assert raw(place, b"ping\0" + VERSION.encode())[0].startswith(b"ok")


@pytest.mark.parametrize(("program", "said"), [
    ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    ("import warnings; warnings.warn('old'); 1 / 0", "division by zero"),
])
def test_one_that_dies_before_it_has_a_log_says_why(place: Place, monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
    monkeypatch.setattr(client, "PROGRAM", program)
    with pytest.raises(ForkServerError, match=f"did not start: .*{said}"):
        client.start(place.state_dir)


def test_one_that_cannot_be_executed_says_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ForkServerError, match="did not start: /nonexistent/python: No such file"):
        client.start(place.state_dir)
