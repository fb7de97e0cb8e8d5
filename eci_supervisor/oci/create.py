"""create: from an engine's bundle to a container of the real runtime's, as docs/architecture.md tells it step by step.

Some facts about being killed. Each step leaves its record before its effect: the container's directory, then the lease, then state.json,
then the supervisor, which ends when our connection to it does. Mounts are made in a mount namespace that dies with us and our caller. So
`delete --force` finds everything, at whatever step we ended.
"""
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from eci_supervisor.control.protocol import Prove
from eci_supervisor.forkserver import client
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.life.record import store
from eci_supervisor.model.state import ContainerState
from eci_supervisor.oci import child
from eci_supervisor.oci.ask import ask
from eci_supervisor.oci.assemble import assemble
from eci_supervisor.oci.bundle import root_directory
from eci_supervisor.oci.call import Call, give_stdio
from eci_supervisor.oci.claim import Claim, make_state_directory
from eci_supervisor.oci.joins import Identities, identities
from eci_supervisor.oci.plan import container_sysctls, protected
from eci_supervisor.oci.refusals import Refused
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.spec import Spec
from eci_supervisor.oci.stage import Staged, overlay_work
from eci_supervisor.oci.undo import give_back


class Making:
    """A container that is being made: what has been opened for it, and how far it has come."""

    def __init__(self, call: Call, spec: Spec, report: Reporter) -> None:
        self.call = call
        self.report = report
        self._spec = spec
        self._ids: Identities | None = None
        self._supervisor: socket.socket | None = None
        self._ready = False
        self._staged: Staged | None = None
        self._started = False

    def prepare(self) -> None:
        """Everything up to the real runtime's start."""
        spec, call = self._spec, self.call
        rootfs = root_directory(call.bundle, spec)
        self._ids = identities(spec, Leases(call.state_dir), call.key, (call.caller.pid, call.caller.start))
        first = replace(first_state(call, spec, self._ids), overlay_work=overlay_work(rootfs))
        store(call.directory, first)
        call.decided.store(call.directory)
        self._supervisor = client.request_spawn(call.state_dir, call.key)
        if call.decided.rights is not None:
            self._await_supervisor()  # whose relay's socket is to be bound
        self._staged = assemble(call, spec, self._ids, rootfs, first, self.report)
        if not self._ready:
            client.wait_listening(self._supervisor)  # and no longer: what it has yet to do is done before the real runtime's hook asks
        give_stdio(call.caller, self._ids.range)

    def _await_supervisor(self) -> None:
        """Raises ForkServerError, with its own words if it has failed."""
        if self._supervisor is not None and not self._ready:
            self._ready = True
            client.wait_ready(self._supervisor)

    def run_real(self, meanwhile: Callable[[], bool] | None = None) -> int:
        """The real runtime's own create or run. Its errors are in its log; but of a failed hook crun does not say what it said."""
        self._started = True
        code = self.call.caller.run(meanwhile)
        if code != 0:
            self._await_supervisor()
            with suppress(FileNotFoundError), open(f"{self.call.directory.path}/hook.error", encoding="utf-8", errors="replace") as file:
                self.report.error(file.read().strip())
        return code

    def prove(self) -> None:
        """That the locks hold, in the container as the real runtime made it. Raises SupervisorError."""
        ask(self.call.directory, Prove())

    def watch(self) -> None:
        """Has the engine's overlay and ours kept fresh for each other; without it a user sees old files, no more."""
        staged = self._staged
        if staged is None or staged.engine_overlay is None or staged.our_overlay is None:
            return
        try:
            client.watch(self.call.state_dir, self.call.key, staged.engine_overlay.fileno(), staged.our_overlay.fileno())
        except client.ForkServerError as error:
            self.report.warning(f"docker cp, diff and export may show old files of this container: {error}")

    def close(self) -> None:
        """A supervisor whose container has not come ends by this."""
        if self._supervisor is not None:
            self._supervisor.close()
        if self._ids is not None:
            self._ids.close()

    def take_back(self) -> None:
        """The real runtime's container, then ours. What cannot be taken back now is by a later delete; what led here is told already."""
        with suppress(client.ForkServerError):
            self._await_supervisor()  # one that starts yet would write into a directory that is being removed
        self.close()
        if self._started:
            child.silently(self.call.runtime.delete(self.call.line))
        with suppress(RuntimeError, OSError):
            if self._ids is not None and not self._started:
                Leases(self.call.state_dir).give_up(self.call.key)
            give_back(self.call.state_dir, self.call.root, self.call.line.id)


def make(call: Call, spec: Spec, report: Reporter, how: Callable[[Making], int]) -> int:
    """The exit code of `how` on a new container. Unless that is 0, nothing of the container is left behind."""
    if os.path.lexists(f"{call.root}/{call.line.id}"):
        raise Refused(f"container with id exists: {call.line.id}")
    make_state_directory(call.state_dir)
    with claimed(call):
        making = Making(call, spec, report)
        code = 1
        try:
            code = how(making)
        finally:
            if code != 0:
                making.take_back()
            making.close()
    return code


def claimed(call: Call) -> Claim:
    """The right to make this container. What a killed create left under its name is taken back first, unless it lives: ReclaimFailed."""
    claim = Claim(call.directory)
    if os.path.lexists(call.directory.state):
        with claim:
            give_back(call.state_dir, call.root, call.line.id)
        claim = Claim(call.directory)
    return claim


def create(making: Making) -> int:
    """The real runtime's exit code. Raises what shim.main makes one sentence of."""
    making.prepare()
    code = making.run_real()
    if code == 0:
        making.prove()
        making.watch()
    return code


def first_state(call: Call, spec: Spec, ids: Identities) -> ContainerState:
    covered = protected(spec, call.line.mode)
    return ContainerState(
        key=call.key, id=call.line.id, root=call.root, bundle=call.bundle, mode=call.line.mode, ids=ids.range, token=os.urandom(16).hex(),
        real_runtime=call.runtime.path, audit_dir=call.line.audit_dir, created=time.time(), rootfs=call.state_dir.staged_rootfs,
        masked=covered.masked, read_only=covered.read_only, sysfs_read_only=covered.sysfs_read_only,
        disks=spec.disks, sysctls=container_sysctls(spec, ids.range), joined=bool(ids.joins),
        calls=replace(call.decided.policy.calls, nested_user_namespaces=call.decided.policy.nested_user_namespaces))
