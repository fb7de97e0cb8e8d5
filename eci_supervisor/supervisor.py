"""eci-supervisor: the composition root. What one container's supervisor consists of, in which order it starts, and how it ends.

Order: the sockets, for a new container's runtime may start meanwhile; our cgroup; a private mount namespace, for a mount there is gone
with us even after SIGKILL; the FUSE mount in it; the mounter, which keeps the nodes; then `ready`. It ends when the container's init does,
when create is gone without having made one, on `stop` or SIGTERM. Everything is a task of one nursery: whichever fails ends them all, and
the kernel answers ENOSYS and ENOTCONN from then on.
"""
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

import trio

from eci_supervisor import native
from eci_supervisor.control.server import ControlServer
from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import Failed, Listening, Ready
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.life import ends, record
from eci_supervisor.life.alone import alone
from eci_supervisor.life.container import Container, Parts
from eci_supervisor.life.idle import give_back_when_idle
from eci_supervisor.life.log import Log, LogHandler
from eci_supervisor.life.mounter import LastingMounter
from eci_supervisor.life.nodes import mount_nodes
from eci_supervisor.life.sysinfo import tell as tell_sysinfo
from eci_supervisor.life.vetting import Vetting
from eci_supervisor.linux import process
from eci_supervisor.linux.pages import SharedPages
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.linux.sockets import listen_unix
from eci_supervisor.model.state import ContainerState, StateError
from eci_supervisor.observe.audit import AuditFile
from eci_supervisor.observe.journal import Journal
from eci_supervisor.seccomp.machine import Machine
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.usual import Mounting, may

PR_SET_NAME = 15
Sockets = tuple[socket.socket, socket.socket]


class CannotSupervise(RuntimeError):  # what happened, in one sentence
    """Why there is no supervisor."""


def main(state_dir: StateDir, key: str, spawned: socket.socket, settle: Callable[[], None], pages: SharedPages | None = None) -> None:
    """Supervises the container `key`; returns when it has ended. `spawned` gets ready or the reason, and is held until the end.

    settle: moves us to our cgroup, and takes its time; `pages`: what we share with the process that we are forked from.
    """
    native.lib.prctl(PR_SET_NAME, native.ffi.new("char[]", b"eci-supervisor"))
    directory = state_dir.container(key)
    try:
        log = Log(f"{directory.path}/log")
        os.dup2(log.fileno(), 2)  # libfuse's own words
        lock = alone(directory)
        if isinstance(lock, int):
            _say(spawned, Ready(lock))
            return
        state = _take_over(directory)
        early = _early(state, directory, spawned)
    except (OSError, StateError, CannotSupervise) as error:
        _say(spawned, Failed(f"supervisor: {error}"))
        return
    logging.getLogger().addHandler(LogHandler(log))
    try:
        settle()  # before anything is started, which is born there then
        trio.run(partial(supervise, state_dir, state, spawned, log, early, pages))
    except BaseException as error:  # noqa: BLE001 # the boundary of the process: whatever it was, create and the log are told
        log.failure("".join(traceback.format_exception(error)))
        _say(spawned, Failed(f"supervisor: {ends.sentence(error)}"))
    finally:
        log.close()


def _take_over(directory: ContainerDir) -> ContainerState:
    """The container's record, with us as its supervisor: reclaim finds us from now on. Raises CannotSupervise, StateError, OSError."""
    state = record.load(directory)
    start = process.start_time(os.getpid())
    if state is None or start is None:
        raise CannotSupervise(f"{directory.state}: there is no such container")
    state = replace(state, supervisor_pid=os.getpid(), supervisor_start=start)
    record.store(directory, state)
    return state


def _say(spawned: socket.socket, answer: protocol.Answer) -> None:
    try:
        spawned.send(protocol.pack_answer(answer), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:  # create is gone; how that ends is ends.py's matter
        return


def _early(state: ContainerState, directory: ContainerDir, spawned: socket.socket) -> Sockets | None:
    """Those of a new container. The real runtime may start now, its hook's call waits there. But where a container runs, a socket means:
    somebody serves.
    """
    if state.init_pid:
        return None
    sockets = _listen(directory)
    _say(spawned, Listening())
    return sockets


async def supervise(
    state_dir: StateDir, state: ContainerState, spawned: socket.socket, log: Log, early: Sockets | None, pages: SharedPages | None,
) -> None:
    """Supervises until the end. Raises whatever a task of ours could not deal with."""
    directory = state_dir.container(state.key)
    with ExitStack() as stack:
        if early:
            _keep(stack, directory, early)
        audit = AuditFile(state.audit_dir)
        stack.callback(audit.close)
        ring = stack.enter_context(closing(EventRing()))
        machine = stack.enter_context(closing(Machine()))
        journal = Journal(state.id, state.root, ring, audit)
        nodes = mount_nodes(state_dir, state, journal, log)
        stack.callback(nodes.close)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.on_signal, signal.SIGTERM, nursery.cancel_scope)
            mounter = stack.enter_context(closing(LastingMounter(
                nodes.mountpoint, nodes.plans, journal, log, tmpfs=Mounting.NEW_TMPFS in may(state.calls))))
            async with trio.open_nursery() as starting:  # at once: each waits for a process or a thread
                starting.start_soon(nursery.start, nodes.serve)
                starting.start_soon(nursery.start, mounter.run)
            vetting = Vetting(state, partial(record.load_listed, directory), ring, machine, journal, mounter, log)

            def live() -> dict[str, object]:
                return {"supervisor_pid": os.getpid(), "mounter_deaths": mounter.deaths, "node_requests": nodes.requests,
                        "audit_dropped": audit.dropped, "log_suppressed": log.suppressed, **vetting.live()}

            container = Container(directory, state, Parts(mounter, nodes.sampler, journal, Leases(state_dir), nodes.sysctls, live))
            if state.init_pid:
                await container.resume()
            notify, control = early or _keep(stack, directory, _listen(directory))
            nursery.start_soon(vetting.run, trio.socket.from_stdlib_socket(notify))
            nursery.start_soon(ControlServer(container).run, trio.socket.from_stdlib_socket(control))
            _start_relay(nursery, stack, state_dir, state, audit)
            nursery.start_soon(journal.audit_calls)
            nursery.start_soon(tell_sysinfo, machine, nodes.sampler)
            if pages is not None:
                nursery.start_soon(give_back_when_idle, pages, log)
            _say(spawned, Ready(os.getpid()))
            await ends.until_over(container, spawned)
            journal.record("end", "the container's init is gone" if container.init else "create ended without a container")
            nursery.cancel_scope.cancel()


def _start_relay(nursery: trio.Nursery, stack: ExitStack, state_dir: StateDir, state: ContainerState, audit: AuditFile) -> None:
    """Serves the container's Docker socket, if create gave it the right to one."""
    directory = state_dir.container(state.key)
    if not os.path.exists(directory.rights):
        return
    from eci_supervisor.life.docker_socket import DockerSocket  # here, so that other supervisors do not carry it

    docker = DockerSocket(state_dir, state, audit)
    listener = docker.listen()
    stack.callback(os.unlink, directory.docker_socket)
    stack.callback(listener.socket.close)
    nursery.start_soon(docker.run, listener)


def _listen(directory: ContainerDir) -> Sockets:
    """notify.sock and control.sock, which root alone can reach."""
    return listen_unix(directory.notify_socket), listen_unix(directory.control_socket)


def _keep(stack: ExitStack, directory: ContainerDir, sockets: Sockets) -> Sockets:
    """As long as we are there."""
    for one, path in zip(sockets, (directory.notify_socket, directory.control_socket), strict=True):
        stack.callback(os.unlink, path)
        stack.callback(one.close)
    return sockets
