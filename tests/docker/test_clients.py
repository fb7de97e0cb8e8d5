"""Real clients behind the relay: Debian's docker and docker-compose and the docker SDK of PyPI, in a container that has the socket.

Acceptance 38 and 43, and what people do with a socket besides.
"""
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.conftest import Admin
from tests.docker.test_run import read_all
from tests.support.docker_client import TOOLS, inside, python, started
from tests.support.driver import REPOSITORY
from tests.support.engine import Engine
from tests.support.gateway import Gateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
SDK_SAYS = """\
ping True
newest True
runtime eci-runc
logs up
exec 3 out err
put True
get carried
top True
stats True
listed ['renamed']
wait 137
half True True 0
events ['create', 'destroy']
load True
errors ImageNotFound
refused enhanced container isolation: docker socket: HostConfig.PidMode: 'host' is not allowed: a namespace of the host
"""
SOAK = "ECI_SOAK" in os.environ  # the same for longer and larger, see tests/soak.py
SAVED_BYTES = (500 if SOAK else 48) << 20
QUIET_S = 300 if SOAK else 0.1
LONGEST_S = 600 if SOAK else 60
COMPOSE = ("/usr/bin/docker-compose", "--ansi=never", "--file=/programs/compose.yaml", "--project-name=trial")


@pytest.fixture
def tools(engine: Engine, admin: Admin) -> str:
    """A container with the socket and the host's /usr."""
    admin()
    return started(engine, *TOOLS)


def test_the_sdk(engine: Engine, tools: str) -> None:
    done = python(engine, tools, "sdk_client.py")
    assert (done.status, done.out) == (0, SDK_SAYS), done


def test_the_sdk_through_the_gateway(gateway: Gateway) -> None:
    environment = {**gateway.engine.environment(), "DOCKER_HOST": f"unix://{gateway.socket}"}
    command = [sys.executable, str(REPOSITORY / "tests/programs/sdk_client.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, SDK_SAYS), done


@pytest.mark.requires("docker_compose")
def test_43_compose(engine: Engine, admin: Admin) -> None:
    """up, ps, logs, exec, down, with nothing allowed but what compose needs."""
    admin(commands={"type": "allow", "commands": ["compose"]})
    tools = started(engine, *TOOLS)

    def compose(*words: str) -> str:
        done = engine.docker("exec", "-i", tools, *COMPOSE, *words)
        assert done.status == 0, done
        return done.out

    compose("up", "-d")
    wait_until(lambda: "served" in compose("logs", "user"), "one service has had an answer of the other")
    assert re.findall(r"trial_(\w+)_1.*Up", compose("ps")) == ["server", "user"]
    assert compose("exec", "-T", "server", "cat", "/proc/self/uid_map").split()[1] != "0"
    compose("down", "--volumes", "--timeout=0")
    assert engine.docker("ps", "--all", "--quiet", "--no-trunc").out.split() == [tools]
    assert "trial" not in engine.docker("network", "ls").out + engine.docker("volume", "ls").out
    assert "is blocked" in inside(engine, tools, "save", "box")[2]


def test_38_a_terminal(engine: Engine, tools: str) -> None:
    """docker run -it and exec -it, by keys of somebody on the outside."""
    for words in (("run", "--rm", "-it", "--name=shell", "box"), ("exec", "-it", "shell")):
        master, slave = pty.openpty()
        command = engine.command("exec", "-it", tools, "docker", *words, "sh", "-c", "tty; stty -echo; read line; echo got $line; exit 4")
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=engine.environment(), start_new_session=True) as child:
            os.close(slave)
            shown = read_all(master, b"/dev/")
            os.write(master, b"keys\n")
            shown += read_all(master, b"got keys")
            assert child.wait(20) == 4
        os.close(master)
        assert b"got keys" in shown, shown
        if words[0] == "run":
            inside(engine, tools, "run", "-d", "--name=shell", "box", "sleep", "1000")


@pytest.mark.timeout(LONGEST_S)
def test_38_streams_that_last(engine: Engine, tools: str) -> None:
    """events and logs -f run on while others act; attach gets what is written from then on; what is typed ends, the answer comes."""
    since = f"--since={time.time():.9f}"  # those that happen before the request is in force too
    with following(engine, tools, "events", since, "--filter=image=box", "--format={{.Action}}") as events:
        inside(engine, tools, "create", "-i", "--name=talker", "box", "sh", "-c", "echo first; cat; echo over")
        inside(engine, tools, "start", "talker")
        with following(engine, tools, "logs", "-f", "talker") as logs:
            logs.until("first")
            events.until("start")
            assert not select.select([logs.output, events.output], [], [], QUIET_S)[0], "silence ends nothing"
            assert inside(engine, tools, "attach", "talker", stdin="typed\n")[1] == "typed\nover\n"
            logs.until("over")
        assert logs.said == "first\ntyped\nover\n"
        inside(engine, tools, "rm", "talker")
        events.until("destroy")
    assert events.said.split() == ["create", "start", "attach", "die", "destroy"]


@dataclass(slots=True)
class Following:
    """A command of docker's in a container that goes on; what it has said so far."""

    process: "subprocess.Popen[bytes]"
    said: str = ""

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def until(self, word: str) -> None:
        self.said += read_all(self.output, word.encode()).decode()
        assert word in self.said, self.said


@contextmanager
def following(engine: Engine, client: str, *words: str) -> Iterator[Following]:
    command = engine.command("exec", client, "docker", *words)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=engine.environment()) as process:
        try:
            yield Following(process)
        finally:
            process.terminate()


@pytest.fixture
def large(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """An image with a layer that cannot be compressed."""
    (tmp_path / "content").write_bytes(os.urandom(SAVED_BYTES))
    engine.import_image(tmp_path, "large")
    yield "large"
    engine.docker("rmi", "large").ok()


@pytest.mark.timeout(LONGEST_S)
def test_38_an_image_saved_and_loaded(engine: Engine, tools: str, large: str) -> None:
    """Through the relay in both directions at once."""
    before = engine.docker("images", "--no-trunc", "--quiet", large).ok().out
    script = "docker save large | tee /tmp/copy | docker load && wc -c < /tmp/copy"
    done = engine.docker("exec", tools, "sh", "-c", script, deadline_s=LONGEST_S).ok()
    assert "Loaded image" in done.out
    assert int(done.out.split()[-1]) > SAVED_BYTES
    assert engine.docker("images", "--no-trunc", "--quiet", large).ok().out == before
