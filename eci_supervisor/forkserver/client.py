"""Asking the fork server, which is started if there is none. Part of every create: it must not import trio, asyncio, logging or subprocess.

Some facts about starting it: the child forks twice, so that the server is nobody's child and the caller reaps nothing later; it
calls setsid, so that no terminal's signal reaches it; it closes every fd but the ready pipe, so that it holds none of the caller's
pipes (an engine reads create's output to its end). DIR/fork.lock is held meanwhile: of two creates at once, one starts it.
"""
import fcntl
import os
import select
import socket
import sys
import time
from typing import NoReturn

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import Answer, Done, Failed, Listening, ProtocolError, Ready, Request
from eci_supervisor.linux.paths import StateDir

START_DEADLINE_S = 60.0  # its death ends the wait at once; a machine may be slow
ANSWER_DEADLINE_S = 15.0
READY_FD = 3
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               # An arena a thread would be memory of its own for each supervisor; and what was the heap's must remain it: linux/pages.py.
               "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
PROGRAM = "from eci_supervisor.forkserver.main import main; main()"


class ForkServerError(RuntimeError):
    """One sentence: the fork server or the supervisor could not do what was asked."""


class NoServerError(ForkServerError):
    """Nobody listens on DIR/fork.sock, or a server of another version."""


def request_spawn(state_dir: StateDir, key: str) -> socket.socket:
    """A connection on which a new supervisor of `key` will answer: give it to wait_ready, keep it open until create has ended.

    A supervisor whose container never comes ends when this connection is closed. Raises ForkServerError.
    """
    return _send(_connect(state_dir), protocol.Spawn(key), ())


def wait_listening(connection: socket.socket) -> None:
    """Returns once the supervisor's sockets are there: who connects then is served as soon as it is ready. Raises ForkServerError."""
    match _answer(connection, ANSWER_DEADLINE_S):
        case Listening() | Ready():
            return
        case Failed(sentence):
            raise ForkServerError(sentence)
        case other:
            raise ForkServerError(f"the fork server answered {other}")


def wait_ready(connection: socket.socket, deadline_s: float = ANSWER_DEADLINE_S) -> int:
    """The supervisor's pid, once it serves. Raises ForkServerError."""
    while True:
        match _answer(connection, deadline_s):
            case Listening():
                continue
            case Ready(pid):
                return pid
            case Failed(sentence):
                raise ForkServerError(sentence)
            case other:
                raise ForkServerError(f"the fork server answered {other}")


def reclaim(state_dir: StateDir, root: str, container_id: str) -> None:
    """Has the server remove what is left of a container. Raises NoServerError where none runs: none is started for this."""
    _ask(_connect_running(state_dir)[0], protocol.Reclaim(root, container_id), ())


def watch(state_dir: StateDir, key: str, engine_fd: int, our_fd: int) -> None:
    """Has the server keep the engine's overlay (`engine_fd`) and ours (`our_fd`) fresh for each other. Raises ForkServerError."""
    _ask(_connect(state_dir), protocol.Watch(key), (engine_fd, our_fd))


def ping(state_dir: StateDir) -> int:
    """The pid of the running server. Raises NoServerError."""
    connection, pid = _connect_running(state_dir)
    connection.close()
    return pid


def ensure(state_dir: StateDir) -> None:
    """A server of our version runs when this returns. Raises ForkServerError."""
    _connect(state_dir).close()


def _ask(connection: socket.socket, request: Request, fds: tuple[int, ...]) -> None:
    with connection:
        match _answer(_send(connection, request, fds), ANSWER_DEADLINE_S):
            case Done():
                return
            case Failed(sentence):
                raise ForkServerError(sentence)
            case other:
                raise ForkServerError(f"the fork server answered {other}")


def _send(connection: socket.socket, request: Request, fds: tuple[int, ...]) -> socket.socket:
    try:
        socket.send_fds(connection, [protocol.pack_request(request)], fds)
    except OSError as error:
        connection.close()
        raise ForkServerError(f"the fork server went away: {error.strerror}") from error
    return connection


def _answer(connection: socket.socket, deadline_s: float) -> Answer:
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if not poll.poll(deadline_s * 1000):
            raise ForkServerError(f"the fork server gave no answer within {deadline_s:.0f} s")
        packet = connection.recv(protocol.MAX_PACKET_BYTES + 1)
        if not packet:
            raise ForkServerError("the supervisor or the fork server died before it answered: see `eci doctor`")
        return protocol.parse_answer(packet)
    except (OSError, ProtocolError) as error:
        raise ForkServerError(f"the fork server's answer: {error}") from error


def _connect(state_dir: StateDir) -> socket.socket:
    """A connection to a server of our version, which is started if there is none. Raises ForkServerError."""
    try:
        return _connect_running(state_dir)[0]
    except NoServerError:
        pass
    try:
        os.makedirs(state_dir.path, 0o711, exist_ok=True)
        lock = os.open(state_dir.fork_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ForkServerError(f"{error.filename}: {error.strerror}: the fork server cannot be started") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _connect_running(state_dir)[0]  # another create has started it while we waited
        except NoServerError:
            start(state_dir)
        return _connect_running(state_dir)[0]
    finally:
        os.close(lock)


def _connect_running(state_dir: StateDir) -> tuple[socket.socket, int]:
    """A connection to a running server of our version, and the server's pid. Raises NoServerError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.connect(state_dir.fork_socket)
    except OSError as error:
        connection.close()
        raise NoServerError(f"{state_dir.fork_socket}: {error.strerror}") from error
    try:
        answer = _answer(_send(connection, protocol.Ping(), ()), ANSWER_DEADLINE_S)
    except ForkServerError:
        connection.close()
        raise
    if isinstance(answer, Done):
        return connection, answer.pid
    connection.close()
    if isinstance(answer, Failed):
        raise ForkServerError(answer.sentence)
    raise NoServerError(f"{state_dir.fork_socket}: the fork server answered {answer}")


def start(state_dir: StateDir, *arguments: str) -> None:
    """Starts a server and waits until it listens; `arguments` are further ones of its command line. Raises ForkServerError."""
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _become_server(state_dir, write, arguments)
    os.close(write)
    os.waitpid(child, 0)
    said = b""
    poll = select.poll()
    poll.register(read, select.POLLIN)
    deadline = time.monotonic() + START_DEADLINE_S
    try:
        while poll.poll(max(0.0, deadline - time.monotonic()) * 1000) and (more := os.read(read, 4096)):
            said += more
    finally:
        os.close(read)
    if not said.endswith(b"ready\n"):  # before it Python may have warned of something
        lines = said.decode("utf-8", "replace").strip().splitlines()  # the last one of a traceback says it
        sentence = lines[-1] if lines else f"it died, or was not ready within {START_DEADLINE_S:.0f} s; see {state_dir.fork_log}"
        raise ForkServerError(f"the fork server did not start: {protocol.one_line(sentence)}")


def _become_server(state_dir: StateDir, ready_fd: int, arguments: tuple[str, ...]) -> NoReturn:
    """In the child: forks again and executes the server. Never returns."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        null = os.open("/dev/null", os.O_RDWR)
        ready = fcntl.fcntl(ready_fd, fcntl.F_DUPFD, READY_FD + 1)
        for fd, what in enumerate((null, null, ready, ready)):  # what it says before it has its log is for its caller
            os.dup2(what, fd)
        os.closerange(READY_FD + 1, os.sysconf("SC_OPEN_MAX"))
        os.execve(sys.executable, [sys.executable, "-I", "-c", PROGRAM, state_dir.path, *arguments], ENVIRONMENT)
    except OSError as error:
        os.write(READY_FD, f"{sys.executable}: {error.strerror}".encode())
    finally:
        os._exit(127)
