"""eci-forkserver: one for each state directory. It imports what a supervisor needs once, then forks one for each container.

Plain `selectors`, one thread: it forks, and a fork copies only the thread that calls it. What takes time (reclaiming waits for a
supervisor that hangs) is done in a forked child as well. Nothing here reads a container's files.
"""
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from eci_supervisor import VERSION
from eci_supervisor.forkserver import heritage, protocol, reclaim
from eci_supervisor.forkserver.freshness import Freshness
from eci_supervisor.forkserver.home import Home
from eci_supervisor.forkserver.peers import Child, Deferred, Door, Lingering, Pending, answer, left_by, out_of_fds, receive
from eci_supervisor.forkserver.protocol import Call, Done, Failed, OtherVersion, Ping, ProtocolError, Reclaim, Request, Spawn, Watch
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.state import container_key

IDLE_S = 600.0
REQUEST_DEADLINE_S = 5.0
LINGER_S, LINGER_MOST_S = 0.02, 5.0
MAX_PENDING = 64  # connections that have not asked yet; the oldest gives way


@dataclass(frozen=True, slots=True)
class Work:
    """What forked processes do. supervise: (state directory, key, connection, what has it put into its cgroup); create: (connection,
    REAL and FRONT of a call, its fds).
    """

    supervise: Callable[[StateDir, str, socket.socket, Callable[[], None]], None]
    create: Callable[[socket.socket, str, str, Sequence[OwnedFd]], None]


class ForkServer:
    """Listens, forks, reaps."""

    def __init__(
        self, state_dir: StateDir, listener: socket.socket, idle_s: float, home: Home, work: Work, warn: Callable[[str], None],
    ) -> None:
        """`warn` is told what is less than it should be."""
        self._state_dir = state_dir
        self._door = Door(listener)
        self._idle_s = idle_s
        self._home = home
        self._work = work
        self._warn = warn
        self._inode = _inode(state_dir.fork_socket)
        self._selector = selectors.DefaultSelector()
        self.freshness = Freshness()
        self._selector.register(listener, selectors.EVENT_READ, None)
        self._selector.register(self.freshness, selectors.EVENT_READ, self.freshness)
        self._children: dict[int, Child] = {}
        self._pending: dict[int, Pending] = {}
        self._deferred: dict[int, Deferred] = {}  # by the supervisor's pid
        self._lingering: dict[str, Lingering] = {}  # cgroups that could not be removed yet, by the container's key
        self._idle_since = time.monotonic()

    def run(self) -> None:
        """Serves until nothing has lived for `idle_s`, or until another server has taken our place and our last container is gone."""
        while not self._done():
            for ready, _ in self._selector.select(self._timeout()):
                what: Child | Pending | Freshness | None = ready.data
                match what:
                    case None:
                        self._accept()
                    case Child():
                        self._reap(what)
                    case Pending():
                        self._serve(what.connection)
                    case Freshness():
                        self._drain()
            self._expire()

    def _drain(self) -> None:
        for key in self.freshness.drain():
            self._warn(f"{key}: the names that its overlays keep cannot be dropped any more: see docs/freshness.md")

    def _done(self) -> bool:
        if self._children or len(self.freshness):
            return False
        return time.monotonic() - self._idle_since >= self._idle_s or _inode(self._state_dir.fork_socket) != self._inode

    def _timeout(self) -> float | None:
        now = time.monotonic()
        ends = [one.until for one in (*self._waiting(), *self._lingering.values())]
        if not self._children and not len(self.freshness):
            ends.append(self._idle_since + self._idle_s)
        return max(0.0, min(ends) - now) if ends else None

    def _accept(self) -> None:
        connection = self._door.accept()
        if connection is None:
            return
        if len(self._pending) >= MAX_PENDING:
            self._forget(next(iter(self._pending.values())).connection).close()
        pending = Pending(connection, time.monotonic() + REQUEST_DEADLINE_S)
        self._pending[connection.fileno()] = pending
        self._selector.register(connection, selectors.EVENT_READ, pending)

    def _waiting(self) -> list[Pending | Deferred]:
        return [*self._pending.values(), *self._deferred.values()]

    def _expire(self) -> None:
        now = time.monotonic()
        for pending in [p for p in self._pending.values() if p.until <= now]:
            self._forget(pending.connection).close()
        for pid in [pid for pid, deferred in self._deferred.items() if deferred.until <= now]:
            late = self._deferred.pop(pid)
            self._reclaim_in_child(late.root, late.container_id, late.connection)
        for key in [key for key, lingering in self._lingering.items() if lingering.until <= now]:
            self._remove_cgroup(key, 2 * self._lingering.pop(key).patience_s)

    def _remove_cgroup(self, key: str, patience_s: float = LINGER_S) -> None:
        """A supervisor's processes leave its cgroup one by one; who is stuck there is asked for ever more rarely."""
        if not self._home.remove(key):
            self._lingering[key] = Lingering(time.monotonic() + patience_s, min(patience_s, LINGER_MOST_S))

    def _forget(self, connection: socket.socket) -> socket.socket:
        del self._pending[connection.fileno()]
        self._selector.unregister(connection)
        return connection

    def _serve(self, connection: socket.socket) -> None:
        fds: list[OwnedFd] = []
        try:
            packet, fds = receive(connection)
            if not packet:
                self._forget(connection).close()
                return
            request = protocol.parse_request(packet)
            if isinstance(request, protocol.Deleted):
                request = left_by(connection, request)
        except (OSError, ProtocolError) as error:
            self._forget(connection)
            answer(connection, Failed(str(error)))
            connection.close()
            return
        self._carry_out(request, connection, fds)

    def _carry_out(self, request: Request, connection: socket.socket, fds: list[OwnedFd]) -> None:
        match request:
            case _ if request.version != VERSION:
                answer(connection, OtherVersion(VERSION))
            case Ping():
                answer(connection, Done(os.getpid()))  # stays open: the request proper follows
            case Spawn(key):
                put = partial(self._home.put, key)
                if self._fork(self._forget(connection), key, lambda open_: self._work.supervise(self._state_dir, key, open_, put)):
                    self._lingering.pop(key, None)
            case Reclaim(root, container_id):
                self.freshness.forget(container_key(root, container_id))
                self._reclaim(root, container_id, self._forget(connection))
            case Watch(key):
                answer(self._forget(connection), heritage.watch(self.freshness, self._state_dir.container(key), key, fds, self._warn))
                connection.close()
            case Call(real, front) if len(fds) == protocol.CALL_FDS:
                self._fork(self._forget(connection), None, lambda open_: self._work.create(open_, real, front, fds))
            case Call():
                answer(self._forget(connection), Failed(f"call comes with {protocol.CALL_FDS} fds, not {len(fds)}"))
                connection.close()

    def _reclaim(self, root: str, container_id: str, connection: socket.socket) -> None:
        """By ourselves where that can be, at once or when the supervisor has ended, as after most containers: a fork costs more."""
        try:
            if reclaim.reclaim_at_once(self._state_dir, root, container_id):
                answer(connection, Done())
                connection.close()
                return
        except reclaim.ReclaimFailed as error:
            answer(connection, Failed(str(error)))
            connection.close()
            return
        supervisor = reclaim.ending_supervisor(self._state_dir, root, container_id)
        if supervisor in self._children and supervisor not in self._deferred:
            self._deferred[supervisor] = Deferred(root, container_id, connection, time.monotonic() + reclaim.SUPERVISOR_PATIENCE_S)
        else:
            self._reclaim_in_child(root, container_id, connection)

    def _reclaim_in_child(self, root: str, container_id: str, connection: socket.socket) -> None:
        self._fork(connection, container_key(root, container_id), lambda open_: self._reclaim_patiently(root, container_id, open_))

    def _reclaim_patiently(self, root: str, container_id: str, connection: socket.socket) -> None:
        try:
            reclaim.reclaim(self._state_dir, root, container_id)
        except reclaim.ReclaimFailed as error:
            answer(connection, Failed(str(error)))
        else:
            answer(connection, Done())

    def _fork(self, connection: socket.socket, key: str | None, work: Callable[[socket.socket], None]) -> int:
        try:
            pid = os.fork()
        except OSError as error:
            answer(connection, Failed(f"fork: {error.strerror}"))
            connection.close()
            return 0
        if pid == 0:
            self._become_child(connection, work)
        try:
            child = Child(pid, OwnedFd(os.pidfd_open(pid)), key)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)  # nobody would hear of its end
            os.waitpid(pid, 0)
            answer(connection, out_of_fds(error))
            connection.close()
            return 0
        connection.close()
        self._children[pid] = child
        self._selector.register(child.pidfd.fileno(), selectors.EVENT_READ, child)
        return pid

    def _become_child(self, connection: socket.socket, work: Callable[[socket.socket], None]) -> NoReturn:
        """In the child: closes all that is the server's, does its work, and never returns into the server's loop."""
        status = 1
        try:
            self._selector.close()
            self._door.close()
            self.freshness.close()
            for waiting in self._waiting():
                waiting.connection.close()
            for child in self._children.values():
                child.pidfd.close()
            work(connection)
            status = 0
        finally:
            os._exit(status)

    def _reap(self, child: Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.pidfd.fileno())
        child.pidfd.close()
        del self._children[child.pid]
        if child.key is not None and not any(other.key == child.key for other in self._children.values()):
            self._remove_cgroup(child.key)
            if status == 0:  # one that was killed may have left its container running
                self.freshness.forget(child.key)
        if not self._children:
            self._idle_since = time.monotonic()
        if deferred := self._deferred.pop(child.pid, None):
            self._reclaim(deferred.root, deferred.container_id, deferred.connection)


def _inode(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
