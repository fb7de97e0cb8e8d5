"""eci-runc and the creator that works for it: what the container has of whom, and what is seen when one of the two dies."""
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support import host
from tests.support.bundle import read_config, write_config
from tests.support.driver import Container
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


def creators(container: Container) -> list[int]:
    return [process.pid for process in host.processes(str(container.runtime.state_dir)) if process.comm == "eci-creator"]


@dataclass(frozen=True, slots=True)
class Held:
    """A create whose real runtime waits in a hook of the engine's."""

    container: Container
    child: "subprocess.Popen[bytes]"
    hook: int
    creator: int


@contextmanager
def held(container: Container) -> Iterator[Held]:
    hook = container.bundle / "hook"
    hook.write_text(f"#!/bin/sh\necho $$ > {hook}.new; mv {hook}.new {hook}.pid\nexec sleep 1000\n")
    hook.chmod(0o755)
    spec = read_config(container.bundle)
    spec["hooks"] = {"createRuntime": [{"path": str(hook)}]}
    write_config(container.bundle, spec)
    words = (f"--log={container.log}", "--log-format=json", "create", f"--bundle={container.bundle}", container.id)
    child, _, _ = container.runtime.start(*words, name=container.id, cwd=container.bundle)
    pid = Path(f"{hook}.pid")
    wait_until(pid.exists, "the hook runs")
    (creator,) = creators(container)
    yield Held(container, child, int(pid.read_text()), creator)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    spec["hooks"] = {}
    write_config(container.bundle, spec)


def test_both_end_with_a_killed_eci_runc(containers: Launch) -> None:
    with held(containers()) as making:
        making.child.kill()
        making.child.wait()
        wait_gone(making.creator)
    making.container.remove()
    wait_until(lambda: not left_behind(making.container.runtime), "nothing is left")
    making.container.up()


def test_a_killed_creator_is_one_sentence(containers: Launch) -> None:
    """The real runtime ends at once; what there was is taken back as after any create that failed."""
    with held(containers()) as making:
        os.kill(making.creator, signal.SIGKILL)
        assert making.child.wait(10) == 1
    assert making.container.log.read_text().count("has died") == 1
    assert making.container.err.read_text().count("eci-runc: ") == 1  # beside what the real runtime's child says of its end
    making.container.remove()
    wait_until(lambda: not left_behind(making.container.runtime), "nothing is left")
    making.container.up()


def test_what_a_container_inherits_is_its_callers(containers: Launch) -> None:
    """Limits, oom score, session and ancestry: as if nobody stood between the engine and the real runtime."""
    container = containers(args=("sh", "-c", "ulimit -c; cat /proc/self/oom_score_adj; sleep 1000"))
    set_up = "ulimit -c 12; echo 321 > /proc/self/oom_score_adj;"
    Container(replace(container.runtime, before=set_up), container.bundle, container.id).up()
    wait_until(lambda: container.out.read_text().count("\n") == 2, "it has said so")
    assert container.out.read_text().split() == ["12", "321"]
    init = container.pid
    parent = int(Path(f"/proc/{init}/stat").read_text().rpartition(")")[2].split()[1])
    assert parent != host.listener_of(container.runtime.state_dir / "fork.sock")


def test_a_caller_in_namespaces_of_its_own(containers: Launch) -> None:
    """Its host is where it is: an engine may live in a network, ipc, uts or cgroup namespace that is not pid 1's."""
    container = containers()
    odd = replace(container.runtime, before='set -- unshare --net --ipc --uts --cgroup "$@";')
    Container(odd, container.bundle, container.id).up()
    assert container.sh("cat /proc/uptime >/dev/null && echo served").out == "served\n"


def test_its_network_is_a_hosts_to_be_refused(containers: Launch) -> None:
    container = containers(namespaces=("pid", "ipc", "uts", "mount"))
    spec = read_config(container.bundle)
    script = 'set -- unshare --net sh -c \'exec 3</proc/self/ns/net; exec "$@"\' sh "$@";'
    spec["linux"]["namespaces"].append({"type": "network", "path": "/proc/self/fd/3"})
    write_config(container.bundle, spec)
    result = Container(replace(container.runtime, before=script), container.bundle, container.id).create()
    assert result.status == 1
    assert "network" in result.err


def test_a_caller_in_another_pid_namespace(containers: Launch, container: Container) -> None:
    """Its pids are others than the supervisor's: one sentence."""
    other = containers()
    script = 'set -- unshare --pid --fork --mount-proc "$@";'
    result = Container(replace(other.runtime, before=script), other.bundle, other.id).create()
    assert result.status == 1
    assert "pid namespace" in result.err
    assert len(result.err.splitlines()) == 1


def test_without_standard_descriptors(containers: Launch) -> None:
    container = containers()
    closed = replace(container.runtime, before="exec <&- >&- 2>&-;")
    Container(closed, container.bundle, container.id).up()
    assert container.sh("echo inside").out == "inside\n"


def test_twenty_at_once(containers: Launch) -> None:
    made = [containers() for _ in range(20)]
    words = [("create", f"--bundle={container.bundle}", container.id) for container in made]
    children = [c.runtime.start(*w, name=c.id, cwd=c.bundle)[0] for c, w in zip(made, words, strict=True)]
    assert [child.wait() for child in children] == [0] * len(made)
    assert len({container.record().ids.start for container in made}) == len(made)
    wait_until(lambda: creators(made[0]) == [], "the creators have ended")


def test_the_caller_needs_more_than_uid_0(containers: Launch, container: Container) -> None:
    """A creator has all rights, and does nothing for a caller that has not: Python refuses it, with the caller's."""
    other = containers()
    weak = replace(other.runtime, before='set -- setpriv --bounding-set=-all --inh-caps=-all "$@";')
    words = (f"--log={other.log}", "--log-format=json", "exec", container.id, "true")
    result = weak.run(*words)
    assert result.status == 1
    assert "root of the host" in result.err
    assert other.log.read_text().count('"level":"error"') == 1
