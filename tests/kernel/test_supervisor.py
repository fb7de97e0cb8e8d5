"""A supervisor from ready to its end, and what is left of it: nothing."""
import json
import os
import shutil
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.control import client as control
from eci_supervisor.control import protocol
from eci_supervisor.control.server import MAX_CONNECTIONS
from eci_supervisor.forkserver import client
from eci_supervisor.forkserver.client import ForkServerError
from eci_supervisor.life import record
from eci_supervisor.life.mounter import RENEWALS
from tests.support import host
from tests.support.supervised import Place, Supervised, fds
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "fuse", "seccomp_notify")
NOBODY = 65534


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    path = Path(tempfile.mkdtemp(prefix="eci-su-", dir="/tmp"))
    path.chmod(0o711)
    made = Place(path)
    yield made
    made.end()
    shutil.rmtree(path)


@pytest.fixture
def supervised(place: Place, request: pytest.FixtureRequest) -> Iterator[Supervised]:
    name = request.node.name
    place.recorded(name)
    made = place.supervised(name)
    yield made
    made.hang_up()
    wait_gone(made.pid)


def request(path: str, line: bytes) -> dict[str, object]:
    """One line to a control socket, one back; {} if it hangs up."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(line + b"\n")
        answer = connection.makefile("rb").readline()
    return json.loads(answer) if answer else {}


def test_from_ready_to_the_end_nothing_is_left(place: Place) -> None:
    with pytest.raises(ForkServerError):
        place.supervised("nobody")  # starts the fork server
    server = client.ping(place.state_dir)
    wait_until(lambda: [p.pid for p in place.processes()] == [server], "the fork server is alone")
    before = Counter(fds(server))  # the connection of the first request may still be among them
    place.recorded("web")
    supervised = place.supervised("web")
    directory = place.directory("web")
    for path in (directory.notify_socket, directory.control_socket):
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert place.mounts() == []
    state = record.load(directory)
    assert state is not None
    assert state.supervisor_pid == supervised.pid
    supervised.terminate()
    wait_until(lambda: [p.pid for p in place.processes()] == [server], "the fork server alone is left")
    assert not os.path.exists(directory.notify_socket)
    assert not os.path.exists(directory.control_socket)
    assert place.mounts() == []
    wait_until(lambda: not Counter(fds(server)) - before, "the fork server has closed what was its child's")
    wait_until(lambda: not host.cgroups_left(state.key), "its cgroups are removed")


def test_it_holds_nothing_of_the_fork_servers(place: Place, supervised: Supervised) -> None:
    inodes = {name for name in fds(client.ping(place.state_dir)) if name.startswith("socket:")}
    assert not inodes & set(fds(supervised.pid))
    assert "anon_inode:[fanotify]" not in fds(supervised.pid)
    assert "anon_inode:[fanotify]" not in fds(supervised.mounter())


def test_it_is_in_no_cgroup_of_its_callers(supervised: Supervised) -> None:
    state = record.load(supervised.place.directory(supervised.name))
    assert state is not None
    cgroup = Path(f"/proc/{supervised.pid}/cgroup")
    wait_until(lambda: {line.split(":", 2)[2] for line in cgroup.read_text().splitlines()} <= {"/", f"/eci/{state.key}"}, "it has moved")


def test_one_for_an_unknown_container_says_so(place: Place) -> None:
    with client.request_spawn(place.state_dir, "0" * 20) as connection, pytest.raises(ForkServerError, match="supervisor: "):
        client.wait_ready(connection)


def test_it_ends_when_create_is_gone_without_a_container(place: Place) -> None:
    """Create was killed, say. Its connection closes, and its process is gone: here a child that asks for the supervisor."""
    place.recorded("killed")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(place.supervised("killed").pid).encode())
        signal.pause()
    os.close(write)
    pid = int(os.read(read, 20))
    os.close(read)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_gone(pid)


def test_asked_for_twice_it_is_one(supervised: Supervised) -> None:
    again = supervised.place.supervised(supervised.name)
    assert again.pid == supervised.pid
    again.hang_up()


def test_killed_it_leaves_no_mount_and_no_process_and_another_serves(place: Place) -> None:
    place.recorded("dies")
    first = place.supervised("dies")
    mounter = first.mounter()
    os.kill(first.pid, signal.SIGKILL)
    wait_gone(first.pid)
    wait_gone(mounter)
    assert place.mounts() == []
    second = place.supervised("dies")
    assert second.pid != first.pid
    first.hang_up()
    second.terminate()


def test_a_supervisor_of_a_running_container_needs_no_create(place: Place) -> None:
    """Exec asks for one where there is none (rulings of a dead supervisor): it stays when exec hangs up, and goes with init."""
    init = os.fork()
    if init == 0:
        signal.pause()
    place.running("orphan", init)
    supervised = place.supervised("orphan")
    supervised.hang_up()
    assert control.inspect(place.directory("orphan"))["supervisor_pid"] == supervised.pid
    refused = request(place.directory("orphan").control_socket, protocol.pack_request(protocol.Attach("orphan", init))[:-1])
    assert "known already" in str(refused["error"])
    os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)
    wait_gone(supervised.pid)


def test_a_container_that_is_gone_gets_none(place: Place) -> None:
    init = os.fork()
    if init == 0:
        signal.pause()
    place.running("gone", init)
    os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)
    with pytest.raises(ForkServerError, match="is gone"):
        place.supervised("gone")


def test_a_mounter_that_dies_is_replaced_and_not_for_ever(supervised: Supervised) -> None:
    directory = supervised.place.directory(supervised.name)
    log = Path(f"{directory.path}/log")
    for death in range(RENEWALS + 1):
        os.kill(mounter := supervised.mounter(), signal.SIGKILL)
        wait_gone(mounter)
        wait_until(lambda: control.inspect(directory)["mounter_deaths"] == death + 1, "the death is counted")  # noqa: B023 # called here
    wait_until(lambda: "the mounter died 3 times" in log.read_text(), "the log says that no other is started now")
    assert supervised.mounters() == []
    audited = [json.loads(line) for line in (supervised.place.path / "audit/audit.jsonl").read_text().splitlines()]
    assert {e["verdict"] for e in audited if e["call"] == "mounter" and e["container"] == supervised.name} == {"fail"}


def test_the_control_socket_is_for_root(supervised: Supervised) -> None:
    path = supervised.place.directory(supervised.name).control_socket
    os.chmod(path, 0o666)
    for directory in (Path(path).parent, Path(path).parent.parent):
        os.chmod(directory, 0o711)
    child = os.fork()
    if child == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            os._exit(1 if request(path, b'{"v":1,"do":"inspect"}') else 0)
        except (ConnectionResetError, BrokenPipeError):
            os._exit(0)
        except BaseException:  # noqa: BLE001 # a child of a test must not return into pytest
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_half_open_connections_are_bounded_and_others_served(supervised: Supervised) -> None:
    path = supervised.place.directory(supervised.name).control_socket
    silent = [socket.socket(socket.AF_UNIX) for _ in range(500)]
    try:
        for connection in silent:
            connection.connect(path)
            connection.send(b"{")
        wait_until(lambda: asked(path), "somebody else is served")
        assert len(fds(supervised.pid)) < MAX_CONNECTIONS + 40
    finally:
        for connection in silent:
            connection.close()


def asked(path: str) -> bool:
    try:
        return request(path, b'{"v":1,"do":"inspect"}')["ok"] is True
    except BlockingIOError:  # the backlog is full for a moment
        return False


def test_stop_ends_it(place: Place) -> None:
    place.recorded("stopped")
    supervised = place.supervised("stopped")
    assert request(place.directory("stopped").control_socket, b'{"v":1,"do":"stop"}')["ok"] is True
    wait_gone(supervised.pid)
    supervised.hang_up()


@pytest.mark.parametrize("line", [b"", b"[]", b'{"v":2,"do":"inspect"}', b'{"v":1,"do":"attach","state":{"id":"other","pid":1}}'])
def test_what_is_no_request_is_refused_in_a_sentence(supervised: Supervised, line: bytes) -> None:
    answer = request(supervised.place.directory(supervised.name).control_socket, line)
    assert answer["ok"] is False
    assert answer["error"]
    assert control.inspect(supervised.place.directory(supervised.name))["listeners"] == []
