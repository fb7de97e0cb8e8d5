"""What create does while a supervisor starts: the rootfs staged, config.json rewritten, both where the real runtime looks for them."""
import os
import time
from collections.abc import Callable
from dataclasses import replace

from eci_supervisor.life.record import store_late_binds, store_listed
from eci_supervisor.linux.listening import listening_paths
from eci_supervisor.linux.mount_api import MS_BIND, mount
from eci_supervisor.model.state import ContainerState
from eci_supervisor.oci.call import Call
from eci_supervisor.oci.claim import write_file
from eci_supervisor.oci.engine import calling_engine
from eci_supervisor.oci.features import features
from eci_supervisor.oci.joins import Identities
from eci_supervisor.oci.listing import refuse_unknown
from eci_supervisor.oci.own_places import own_places
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.recorded import noted
from eci_supervisor.oci.refusal import PolicyRefused
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.restricted import Ground
from eci_supervisor.oci.rewrite import rewritten
from eci_supervisor.oci.spec import Mount, Spec
from eci_supervisor.oci.stage import Staged, StageRequest, stage
from eci_supervisor.policy.profile import seccomp_section


def assemble(call: Call, spec: Spec, ids: Identities, rootfs: str, state: ContainerState, report: Reporter) -> Staged:
    """All of it in the caller's private mount namespace, in which the real runtime starts. Raises what told() makes one sentence of."""
    refuse_unknown(spec.mounts, state.calls)
    staged = stage(StageRequest(
        rootfs=rootfs, read_only=spec.root_read_only, ids=ids.range, mounts=absolute_sources(spec, call.bundle),
        stage_dir=call.state_dir.staging, binds=call.decided.policy.binds, ground=ground(call, spec), calls=state.calls,
        learned=learned(call), propagation=spec.propagation, working_directory=spec.working_directory))
    for warning in staged.warnings:
        report.warning(warning)
    write_file(call.directory.config, rewritten(spec, plan(call, spec, ids, staged, state)).to_bytes())
    mount(call.directory.config, call.config, "", MS_BIND)
    store_late_binds(call.directory, staged.late)
    store_listed(call.directory, staged.listed)
    return staged


def learned(call: Call) -> Callable[[PolicyRefused], None] | None:
    return (lambda told: noted(told, call.line, "learn")) if call.decided.policy.learn else None


def ground(call: Call, spec: Spec) -> Ground:
    decided = call.decided
    relay = call.directory.docker_socket if decided.rights is not None else ""
    own = own_places(spec, call.line.id, os.path.realpath(call.bundle))

    def engine() -> tuple[str, ...]:
        caller = calling_engine(spec)
        return decided.policy.socket.engine, caller.exec_root, *listening_paths(caller.pid)

    return Ground(own=own, engine=engine, state_dir=call.state_dir.path, relay=relay)


def absolute_sources(spec: Spec, bundle: str) -> tuple[Mount, ...]:
    """The spec's mounts; both runtimes take the source of a bind as relative to the bundle."""
    return tuple(replace(mount, source=os.path.join(bundle, mount.source)) if mount.is_bind else mount for mount in spec.mounts)


def plan(call: Call, spec: Spec, ids: Identities, staged: Staged, state: ContainerState) -> Plan:
    takes = features(call.runtime.path, call.state_dir)
    seccomp = seccomp_section(spec.seccomp, listener_path=call.directory.notify_socket, metadata=state.token, mode=call.line.mode,
                              flags=takes.seccomp_flags, calls=state.calls)
    own_time = "time" in takes.namespaces and os.path.lexists("/proc/self/ns/time")
    return Plan(mode=call.line.mode, ids=ids.range, joins=ids.joins, rootfs=staged.rootfs, mounts=staged.mounts, front=call.front,
                control_socket=call.directory.control_socket, seccomp=seccomp,
                boot_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)) if own_time else None)
