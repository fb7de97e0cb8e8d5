"""run: signals, ends, and what the real runtime and the container get of what eci-runc was started with."""
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support.bundle import read_config, write_config
from tests.support.driver import Container
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")

LIBRARYS_OWN = 1 << 32 - 1 | 1 << 33 - 1  # glibc's own two signals, which its posix_spawn ignores in a child: make's, say


def running(container: Container) -> "subprocess.Popen[bytes]":
    """`run` in the foreground, once the container says that it is up."""
    words = ("run", f"--bundle={container.bundle}", container.id)
    child, out, _ = container.runtime.start(*words, name=container.id, cwd=container.bundle)
    wait_until(lambda: "up" in out.read_text(), "the container is up")
    return child


def listens(container: Container, number: signal.Signals) -> bool:
    """Whether a signal would not end the real runtime itself: crun starts the container before it listens for signals."""
    words = f"\0{container.id}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text() == f"{container.runtime.real}\n" and words in (entry / "cmdline").read_bytes():
                masks = re.findall(r"^Sig(?:Blk|Cgt):\t(\w+)$", (entry / "status").read_text(), re.MULTILINE)
                return any(int(mask, 16) >> number - 1 & 1 for mask in masks)
        except OSError:
            continue
    return False


def test_signals_reach_the_container(containers: Launch) -> None:
    container = containers(args=("sh", "-c", "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.1; done"))
    with running(container) as child:
        wait_until(lambda: listens(container, signal.SIGTERM), "the real runtime hands signals on")
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(20) == 5
    assert "got" in container.out.read_text()
    assert not [left for left in left_behind(container.runtime) if "directory" in left or "container" in left]


def test_detached(containers: Launch) -> None:
    container = containers()
    container.run("--detach").ok()
    assert container.state()["status"] == "running"
    assert container.sh("echo inside").out == "inside\n"


def test_a_run_that_was_killed_is_deleted_like_any_other(containers: Launch) -> None:
    container = containers(args=("sh", "-c", "echo up; exec sleep 1000"))
    with running(container) as child:
        child.kill()
    container.remove()
    assert not [left for left in left_behind(container.runtime) if "directory" in left]


def test_a_second_container_of_that_name_is_refused(container: Container) -> None:
    """And the first one lives on."""
    result = container.create()
    assert result.status == 1
    assert "exists" in result.err
    assert container.sh("echo alive").out == "alive\n"


def test_descriptors_are_handed_on(containers: Launch) -> None:
    """--preserve-fds: fd 3 is the container's, and none of ours is."""
    container = containers(args=("sh", "-c", "cat <&3; ls /proc/self/fd"))
    third = container.bundle / "third"
    third.write_text("by fd 3\n")
    words = [*container.runtime.argv(), "run", "--preserve-fds=1", f"--bundle={container.bundle}", container.id]
    with container.out.open("wb") as out:
        command = ["sh", "-c", 'exec 3<"$0"; exec "$@"', str(third), *words]
        environment = container.runtime.environment()
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, timeout=30, check=True)
    assert container.out.read_text().split() == ["by", "fd", "3", "0", "1", "2", "3", "4"]  # 4 is the one by which ls looks


def own_ignored() -> int:
    """Signals that are ignored here already, as under nohup; those that Python ignores it gives back to its children."""
    (mask,) = re.findall(r"^SigIgn:\t(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(mask, 16) & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


def test_the_runtime_gets_our_environment_as_it_came(containers: Launch) -> None:
    """A hook without an environment of its own has the runtime's: Python would have added LC_CTYPE to it."""
    container = containers()
    hook = container.bundle / "hook"
    hook.write_text(f"#!/bin/sh\nenv > {container.bundle}/env\ngrep SigIgn /proc/self/status > {container.bundle}/ignored\n")
    hook.chmod(0o755)
    spec = read_config(container.bundle)
    spec["hooks"] = {"createRuntime": [{"path": str(hook)}]}
    write_config(container.bundle, spec)
    container.create().ok()
    names = {line.partition("=")[0] for line in (container.bundle / "env").read_text().splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names - {"_LIBCONTAINER_CLONED_BINARY"} == set(container.runtime.environment())  # crun's own
    ignored = int((container.bundle / "ignored").read_text().split()[1], 16)
    assert ignored & ~LIBRARYS_OWN & ~own_ignored() == 0


def test_socket_activation_is_meant_for_the_runtime(containers: Launch) -> None:
    """LISTEN_PID names the process that the engine started; the runtime, our child, passes sockets on only if it is the one."""
    container = containers(args=("sh", "-c", "echo $LISTEN_FDS; cat <&3"))
    third = container.bundle / "third"
    third.write_text("by fd 3\n")
    words = [*container.runtime.argv(), "run", f"--bundle={container.bundle}", container.id]
    with container.out.open("wb") as out:
        script = 'exec 3<"$0"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        command = ["sh", "-c", script, str(third), *words]
        environment = container.runtime.environment()
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, timeout=30, check=True)
    told = [] if container.runtime.real == "crun" else ["1"]  # crun 1.8.1 hands the sockets on and does not say so
    assert container.out.read_text().split() == [*told, "by", "fd", "3"]
