"""Generated sections and the receiver of listeners, with runc and crun themselves; no eci-runc in between."""
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from eci_supervisor.linux.sockets import listen_unix
from eci_supervisor.model.event import Event
from eci_supervisor.model.notification import Call
from eci_supervisor.model.state import Mode
from eci_supervisor.policy.profile import seccomp_section
from eci_supervisor.seccomp.events import event_of
from eci_supervisor.seccomp.listener import Listener, receive
from eci_supervisor.seccomp.ring import EventRing
from eci_supervisor.seccomp.serve import ServingThread
from tests.container.conftest import Launch
from tests.support.bundle import read_config, write_config
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "seccomp_notify", "busybox", "cgroup", "runc", "crun")

SCRIPT = "umount -l /nonexistent; unshare -m true; mount -t tmpfs x /nonexistent; mount -t proc x /nonexistent; echo ran"
ANSWER = 77
Result = TypeVar("Result")


def prepared(containers: Launch, runtime: Runtime, socket: Path, *, no_new_privs: bool, args: tuple[str, ...]) -> Container:
    """A container of the real runtime whose section is ours."""
    section = seccomp_section(None, listener_path=str(socket), metadata="a token", mode=Mode.ECI)
    container = containers(under=replace(runtime, plain=True), args=args, linux={"seccomp": section})
    spec = read_config(container.bundle)
    spec["process"]["noNewPrivileges"] = no_new_privs
    write_config(container.bundle, spec)
    return container


def while_served(socket: Path, ring: EventRing, action: Callable[[], Result]) -> tuple[Result, list[Listener]]:
    """The result of `action`, during which every listener that comes to `socket` is served."""
    received: list[Listener] = []

    async def serve(connection: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        with connection:
            listener = await receive(connection)
        received.append(listener)
        thread = ServingThread(listener.fd, ring)

        async def judge(call: Call) -> None:
            thread.answer(call.id, ANSWER)

        nursery.start_soon(thread.run, judge)

    async def accept(nursery: trio.Nursery) -> None:
        with trio.socket.from_stdlib_socket(listen_unix(str(socket))) as listening:
            async with trio.open_nursery() as connections:
                while True:
                    connection, _ = await listening.accept()
                    connections.start_soon(serve, connection, nursery)

    async def main() -> Result:
        with trio.fail_after(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept, nursery)
                await trio.testing.wait_all_tasks_blocked()
                done = await trio.to_thread.run_sync(action)
                nursery.cancel_scope.cancel()
        return done

    return trio.run(main), received


def seen(ring: EventRing) -> list[Event]:
    return [event_of(raw, container="c", root="r") for raw in ring.snapshot()]


@pytest.mark.parametrize("no_new_privs", [False, True])
def test_a_container_runs_and_its_calls_are_vetted(containers: Launch, runtime: Runtime, playground: Path, no_new_privs: bool) -> None:
    """The listener comes at create, or at start; nobody waits for EOF; the runtime's own init is answered too."""
    socket = playground / "notify.sock"
    container = prepared(containers, runtime, socket, no_new_privs=no_new_privs, args=("sh", "-c", SCRIPT))
    ring = EventRing()
    try:
        result, received = while_served(socket, ring, container.run)
        assert result.out.endswith("ran\n")
        assert "Errno 77" in result.err or "error 77" in result.err or "File descriptor in bad state" in result.err
        assert [(listener.metadata, listener.status) for listener in received] == [("a token", "creating")]
        rules = [event.rule for event in seen(ring)]
        assert rules[-3:] == ["umount2.detach", "unshare", "mount.new"]
    finally:
        ring.close()


def test_an_exec_brings_a_listener_of_its_own(containers: Launch, runtime: Runtime, playground: Path) -> None:
    socket = playground / "notify.sock"
    container = prepared(containers, runtime, socket, no_new_privs=False, args=("sleep", "100"))
    ring = EventRing()

    def both() -> str:
        container.up()
        return container.exec("unshare", "-m", "true").err

    try:
        _, received = while_served(socket, ring, both)
        assert [listener.status for listener in received] == ["creating", "running"]
        assert [event.rule for event in seen(ring)][-1] == "unshare"
    finally:
        ring.close()
