"""The relay before a whole engine: what users reach who should not reach the engine itself. trio.

The global command list, every container as target, the hard rules. What it makes runs under this runtime, unless isolation is off by the
settings' `value` or the user's choice: then the runtime is the user's to name, and containers of any are in reach.
"""
import grp
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from eci_supervisor.docker.created import CreatedWithSocket
from eci_supervisor.docker.decision import lines
from eci_supervisor.docker.relay import BACKLOG, Relay
from eci_supervisor.docker.witness import Witness
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.sockets import listen_unix
from eci_supervisor.model.settings import Image, Policy, Rights
from eci_supervisor.observe.audit import AuditFile

SCHEME = "unix://"


class CannotListen(RuntimeError):
    """Why there is no gateway, in one sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway listens. group: who may connect besides root, "" for nobody."""

    path: str
    group: str = ""

    @classmethod
    def parse(cls, listen: str, group: str) -> "Address":
        """Raises CannotListen."""
        path = listen.removeprefix(SCHEME)
        if not path.startswith("/"):
            raise CannotListen(f"--listen={listen}: use {SCHEME} and an absolute path, such as {SCHEME}/run/eci/docker.sock")
        return cls(path, group)

    def open(self) -> socket.socket:
        """A listening socket: 0600, or 0660 with the group's. Raises CannotListen."""
        try:
            gid = grp.getgrnam(self.group).gr_gid if self.group else 0
        except KeyError:
            raise CannotListen(f"--group={self.group}: there is no such group") from None
        try:
            os.makedirs(os.path.dirname(self.path), 0o755, exist_ok=True)
            listener = listen_unix(self.path, backlog=BACKLOG)
            if self.group:
                os.chown(self.path, 0, gid)
                os.chmod(self.path, 0o660)
        except OSError as error:
            raise CannotListen(f"--listen={self.path}: {error.strerror}") from None
        return listener


def rights(policy: Policy, engine: str, *, forced: bool) -> Rights:
    """What a user of the gateway may do; engine: path of the engine's socket, "" for the policy's."""
    rules = policy.socket
    runtime = rules.runtime if forced else ""
    return Rights(container="", engine=engine or rules.engine, runtime=runtime, image=Image("", "gateway"), entry="",
                  commands=rules.commands, builds=rules.builds, engine_admin=rules.engine_admin, max_body_bytes=rules.max_body_bytes,
                  learn=policy.learn, file=policy.file, lines=lines(policy))  # fmt: skip


def serve(address: Address, engine: str, policy: Callable[[], tuple[Policy, bool]], state_dir: StateDir, audit_dir: str) -> None:
    """Serves until SIGINT or SIGTERM. policy: what is in force, and whether it isolates; asked before each request. Raises CannotListen."""
    listener = address.open()
    audit = AuditFile(audit_dir)

    turn = trio.Lock()  # after a change of the settings one request has them compiled, and the others wait for that

    async def now() -> Rights:
        async with turn:
            found, forced = await trio.to_thread.run_sync(policy)
            return rights(found, engine, forced=forced)

    def judged_by() -> Policy:
        found, _ = policy()
        return replace(found, socket=replace(found.socket, engine=engine)) if engine else found

    relay = Relay(now, Witness(audit), CreatedWithSocket(judged_by, state_dir))
    try:
        trio.run(partial(_serve, relay, listener))
    finally:
        os.unlink(address.path)
        audit.close()


async def _serve(relay: Relay, listener: socket.socket) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.run, trio.SocketListener(trio.socket.from_stdlib_socket(listener)))
            async for _ in signals:
                nursery.cancel_scope.cancel()
