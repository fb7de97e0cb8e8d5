"""Supervisors without containers: a state directory, records as create writes them, and what must be gone afterwards."""
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from eci_supervisor.forkserver import client
from eci_supervisor.life import record
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState, Mode, container_key
from tests.support import host
from tests.support.waiting import wait_gone, wait_until

ROOT = "/run/test"


@dataclass(frozen=True, slots=True)
class Place:
    """A state directory of a test's own."""

    path: Path

    @property
    def state_dir(self) -> StateDir:
        return StateDir(str(self.path))

    def directory(self, name: str) -> ContainerDir:
        return self.state_dir.container(container_key(ROOT, name))

    def recorded(self, name: str, **more: object) -> ContainerState:
        """A container that create has written down."""
        plain = {
            "key": container_key(ROOT, name), "id": name, "root": ROOT, "bundle": "/", "mode": Mode.ECI, "ids": IdRange(100000),
            "token": "a token", "real_runtime": "/usr/sbin/runc", "audit_dir": str(self.path / "audit"), "created": time.time(),
            "rootfs": "/"}
        state = ContainerState(**{**plain, **more})  # type: ignore[arg-type] # plain is of ContainerState's types
        os.makedirs(self.directory(name).path, 0o700, exist_ok=True)
        record.store(self.directory(name), state)
        return state

    def running(self, name: str, init: int) -> ContainerState:
        """The record of a container whose init is process `init`, and which nobody supervises."""
        return self.recorded(name, init_pid=init, init_start=start_time(init))

    def supervised(self, name: str) -> "Supervised":
        """A supervisor for a recorded container, which is ready."""
        connection = client.request_spawn(self.state_dir, container_key(ROOT, name))
        try:
            return Supervised(self, name, client.wait_ready(connection), connection.detach())
        except BaseException:
            connection.close()
            raise

    def server(self) -> int | None:
        return host.listener_of(Path(self.state_dir.fork_socket))

    def mounts(self) -> list[str]:
        """What is mounted in this directory, in the host's mount namespace."""
        return [line for line in host.mountinfo() if str(self.path) in line]

    def processes(self) -> list[host.Process]:
        """Those that run for this directory."""
        return host.processes(str(self.path))

    def end(self) -> None:
        """Ends whatever runs for this directory, by its pid."""
        for process in self.processes():
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_gone(process.pid)


@dataclass(slots=True)
class Supervised:
    """A supervisor that is ready. `creator_fd` is the connection that create holds."""

    place: Place
    name: str
    pid: int
    creator_fd: int

    def hang_up(self) -> None:
        """What create does at its end."""
        if self.creator_fd >= 0:
            os.close(self.creator_fd)
            self.creator_fd = -1

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        wait_gone(self.pid)
        self.hang_up()

    def mounters(self) -> list[int]:
        """Its children that live."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return [pid for task in tasks for pid in map(int, (task / "children").read_text().split()) if start_time(pid) is not None]

    def mounter(self) -> int:
        """The pid of its one child, once it has one."""
        wait_until(lambda: len(self.mounters()) == 1, "a mounter serves")
        return self.mounters()[0]


def fds(pid: int) -> list[str]:
    """What a process holds open."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return found
