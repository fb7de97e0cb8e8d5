"""The container's calls: each listener that arrives on notify.sock, one for its init and one for each exec, gets a serving thread."""
import hmac
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache

import trio

from eci_supervisor.control.server import accept
from eci_supervisor.life.log import Log
from eci_supervisor.life.mounter import LastingMounter
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.model.state import ContainerState
from eci_supervisor.observe.journal import Journal
from eci_supervisor.seccomp.effects import Effects
from eci_supervisor.seccomp.lane import Lanes
from eci_supervisor.seccomp.listener import Listener, ListenerError, receive
from eci_supervisor.seccomp.machine import Machine
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread

MAX_SILENT = 1024  # connections on which nothing has come yet: crun connects at create and speaks at start, so none is timed out
MAX_LISTENERS = 256  # a thread each


class Vetting:
    """Serves the listeners of one container."""

    def __init__(self, state: ContainerState, listed: Callable[[], Listed], ring: EventRing, machine: Machine, journal: Journal,
                 mounter: LastingMounter, log: Log) -> None:
        self._state, self._ring, self._machine, self._journal, self._log = state, ring, machine, journal, log
        self._mounter, self._listed = mounter, cache(listed)
        self._effects = Effects(mounter, ring, journal.told, container=state.id, root=state.root, calls=state.calls,
                                listed=self._listed)
        self._threads: dict[int, ServingThread] = {}
        self._total = 0

    async def run(self, listener: trio.socket.SocketType) -> None:
        """Takes listeners from connections to `listener`, for ever."""
        async with trio.open_nursery() as threads:
            async def one(connection: trio.socket.SocketType) -> None:
                if received := await self._received(connection):
                    threads.start_soon(self._serve, received)

            await accept(listener, one, MAX_SILENT)

    async def _received(self, connection: trio.socket.SocketType) -> Listener | None:
        """The listener that a connection brings, if it is of this container. Refusing is closing it: its calls are ENOSYS then."""
        try:
            received = await receive(connection)
        except (ListenerError, OSError) as error:
            self._log.warning(f"notify.sock: {error}")
            return None
        if hmac.compare_digest(received.metadata.encode(), self._state.token.encode()) and len(self._threads) < MAX_LISTENERS:
            return received
        self._log.warning(f"notify.sock: a listener of another container (its metadata), or one beyond {MAX_LISTENERS}: closed")
        received.fd.close()
        return None

    async def _serve(self, received: Listener) -> None:
        thread = ServingThread(received.fd, self._ring, machine=self._machine, calls=self._state.calls, lanes=self._lanes())
        number = self._total = self._total + 1
        self._threads[number] = thread
        if received.status == "running":
            self._journal.record("exec", "a further process of the runtime's, with a filter of its own", pid=received.pid)
        try:
            await thread.run(self._effects.on(thread))
        except OSError as error:
            self._log.failure(f"listener {number}: {error}: its calls fail with ENOSYS from now on")
        finally:
            del self._threads[number]

    def _lanes(self) -> Lanes | None:
        """None where the rules cannot be read: then each mount under them is asked about, and fails."""
        calls = self._state.calls
        try:
            listed = self._listed() if calls.mount_sources or calls.mount_targets else NOTHING_LISTED
            return Lanes(self._mounter.lanes, calls, listed)
        except (OSError, ValueError, TypeError) as error:
            self._log.failure(f"what rules for mounts are about: {error}")
            return None

    def live(self) -> Mapping[str, object]:
        """For `eci inspect`."""
        return {"listeners": [asdict(thread.counters()) for thread in self._threads.values()], "listeners_total": self._total}
