"""A container's Docker socket: the relay on it, with the rights of the container's image, which hold only as long as the policy gives them.

Only supervisors of containers that have the right import this: the Engine API's tables and h11 are memory that others do not pay.
"""
import os
from dataclasses import replace

import trio

from eci_supervisor.docker.created import CreatedWithSocket
from eci_supervisor.docker.engine import Engine, EngineError
from eci_supervisor.docker.relay import BACKLOG, Relay
from eci_supervisor.docker.right import judge, rights
from eci_supervisor.docker.witness import Witness
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.sockets import listen_unix
from eci_supervisor.model.settings import Policy, Rights
from eci_supervisor.model.state import ContainerState
from eci_supervisor.observe.audit import AuditFile
from eci_supervisor.settings.store import NotCompiled, current, stamp
from eci_supervisor.settings.wire import policy_from_bytes, rights_from_bytes


class DockerSocket:
    """rights: as create decided them; None once the policy has changed and gives none. Raises OSError, WireError."""

    def __init__(self, state_dir: StateDir, state: ContainerState, audit: AuditFile) -> None:
        self._state_dir, self._directory = state_dir, state_dir.container(state.key)
        self._audit_dir = state.audit_dir
        with open(self._directory.policy, "rb") as policy, open(self._directory.rights, "rb") as given:
            self._policy = policy_from_bytes(policy.read())
            self._image_rights = rights_from_bytes(given.read())
        self._rights: Rights | None = self._image_rights
        self._turn = trio.Lock()
        witness = Witness(audit, state.id, state.root, self._policy.file)
        self._relay = Relay(self._now, witness, CreatedWithSocket(lambda: self._policy, state_dir))

    def listen(self) -> trio.SocketListener:
        """The socket that create binds in place of the engine's: container root's, and the group's that the settings name.

        Its ids are the container's own: the directory is root's alone, so the bind of it is mapped by identity.
        """
        listener = listen_unix(self._directory.docker_socket, backlog=BACKLOG)
        os.chown(self._directory.docker_socket, 0, self._image_rights.gid)
        os.chmod(self._directory.docker_socket, 0o660)
        return trio.SocketListener(trio.socket.from_stdlib_socket(listener))

    async def run(self, listener: trio.SocketListener) -> None:
        """Serves for ever."""
        await self._relay.run(listener)

    async def _now(self) -> Rights | None:
        """What holds for the next request: asked of image lists and registry again when the settings file has changed."""
        async with self._turn:
            if stamp(self._policy.file) != self._policy.stamp:
                self._policy, self._rights = await trio.to_thread.run_sync(self._judged_again)
            return self._rights

    def _judged_again(self) -> tuple[Policy, Rights | None]:
        try:
            policy = current(self._state_dir, self._policy.file, self._audit_dir)
            judged = judge(Engine(policy.socket.engine), self._image_rights.image, policy, self._state_dir)
        except (NotCompiled, EngineError):
            return self._policy, None
        if not judged.finding.allowed and not policy.learn:
            return policy, None
        return policy, replace(rights(self._image_rights.container, policy, judged), gid=self._image_rights.gid)
