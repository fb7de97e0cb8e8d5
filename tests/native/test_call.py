"""native/call.c: what eci-runc says to a creator, and what it does at its word. The creator is a thread here, the real runtime a script."""
import array
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eci_supervisor import VERSION
from tests.support.driver import ECI_RUNC

SCRIPT = '#!/bin/sh\nfor word in "$@"; do printf "[%s]" "$word"; done\n[ -z "$SLEEP" ] || exec sleep 1000\nexit ${STATUS:-0}\n'
RUN, BECOME = b"run\0", b"become\0"


class Server:
    """A listener in the fork server's place, for one call."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.packet = b""
        self.descriptors = 0
        self.answers: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(directory / "fork.sock"))
        self._listener.listen()
        self._listener.settimeout(10)

    def serve(self, work: Callable[[socket.socket], object]) -> threading.Thread:
        def accept() -> None:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                self.packet, fds, _, _ = socket.recv_fds(connection, 65536, 8)
                self.descriptors = len(fds)
                for fd in fds:  # the caller reads its output to the end
                    os.close(fd)
                work(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        return thread

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    program = tmp_path / "runc"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    return program


def call(server: Server, runtime: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ECI_RUNC), f"--state-dir={server.directory}", f"--real-runtime={runtime}", "--root=/r", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={"PATH": "/usr/bin:/bin", **environment})


def test_the_request(server: Server, runtime: Path) -> None:
    """Paths, and three descriptors; the exit code is the creator's."""
    thread = server.serve(lambda connection: connection.send(b"exit\x0042"))
    done = call(server, runtime, "exec", "web1", "true")
    thread.join()
    assert (done.returncode, done.stdout) == (42, "")
    assert server.packet == b"\0".join((b"call", VERSION.encode(), bytes(runtime), os.fsencode(os.path.realpath(ECI_RUNC))))
    assert server.descriptors == 3


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (b"", "[--root=/r][exec][web1][true]"),
        (b"\0exec\0--cap\0CAP_CHOWN\0web1\0", "[--root=/r][exec][--cap][CAP_CHOWN][web1][]"),
    ],
)
def test_become(server: Server, runtime: Path, answer: bytes, passed: str) -> None:
    thread = server.serve(lambda connection: connection.send(BECOME + answer))
    done = call(server, runtime, "exec", "web1", "true", STATUS="7")
    thread.join()
    assert (done.returncode, done.stdout) == (7, passed)


def test_descriptors_go_where_they_belong(server: Server, tmp_path: Path) -> None:
    reads = tmp_path / "runc"
    reads.write_text("#!/bin/sh\ncat /proc/self/fd/0 /proc/self/fd/600\n")
    reads.chmod(0o755)

    def work(connection: socket.socket) -> None:
        files = [os.memfd_create(name) for name in ("first", "second")]
        for number, fd in enumerate(files):
            os.write(fd, b"%d\n" % number)
            os.lseek(fd, 0, os.SEEK_SET)
        socket.send_fds(connection, [BECOME + b"0 600"], files)
        for fd in files:
            os.close(fd)

    thread = server.serve(work)
    done = call(server, reads, "exec", "web1", "true")
    thread.join()
    assert done.stdout == "0\n1\n"


@pytest.mark.requires("root")
def test_run(server: Server, runtime: Path) -> None:
    """As a child, in a mount namespace of its own; its exit code is told, the creator's is handed on."""

    def work(connection: socket.socket) -> None:
        pid = array.array("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        server.answers.append(os.readlink(f"/proc/{pid}/ns/mnt").encode())
        connection.send(RUN)
        server.answers.append(connection.recv(100))
        connection.send(b"exit\x003")

    thread = server.serve(work)
    done = call(server, runtime, "create", "web1", STATUS="7")
    thread.join()
    assert (done.returncode, done.stdout) == (3, "[--root=/r][create][web1]")
    assert server.answers[1] == b"ended\x007"
    assert server.answers[0].decode() != os.readlink("/proc/self/ns/mnt")


@pytest.mark.requires("root")
def test_the_runtime_ends_with_the_creator(server: Server, runtime: Path) -> None:
    thread = server.serve(lambda connection: connection.send(RUN))
    done = call(server, runtime, "create", "web1", SLEEP="1")
    thread.join()
    assert done.returncode == 1
    assert "has died" in done.stderr
    assert done.stderr.count("\n") == 1
