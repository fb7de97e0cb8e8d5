"""Acceptance 31: builds by a container with the socket. What is built runs under this runtime, or is not built."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docker.conftest import Admin
from tests.support.docker_client import TOOLS, inside, started
from tests.support.driver import ECI_RUNC, Result
from tests.support.engine import Engine

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
SCRIPT = """\
mkdir -p /tmp/build && cd /tmp/build && cat > Dockerfile && echo told > word
[ -S /tmp/agent ] || /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/tmp/agent")'
SSH_AUTH_SOCK=/tmp/agent DOCKER_BUILDKIT={kit} docker build -t built {options} . 2>&1
"""
PLAIN_FILE = "FROM box\nRUN cat /proc/self/uid_map > /map\n"
# What BuildKit alone has: its own mounts, of things that the client has or the builder keeps.
KITS_FILE = """\
FROM box AS other
RUN echo there > /there
FROM box
RUN --mount=type=secret,id=word --mount=type=ssh --mount=type=cache,target=/cache --mount=type=bind,from=other,target=/other \
    test -S $SSH_AUTH_SOCK && touch /cache/x && cat /other/there /run/secrets/word /proc/self/uid_map > /map
"""
KITS_OPTIONS = "--no-cache --progress=plain --secret id=word,src=word --ssh default"


@pytest.fixture
def tools(engine: Engine, admin: Admin) -> Iterator[str]:
    """A container with the socket, where the settings allow builds."""
    admin(builds=True)
    yield started(engine, *TOOLS)
    engine.docker("builder", "prune", "--all", "--force")
    engine.docker("image", "rm", "--force", "built")


@contextmanager
def ours_as_runc(engine: Engine) -> Iterator[None]:
    """The engine's BuildKit finds eci-runc, in a script that gives it its options, where it looks for runc; as others do, for so long."""
    script, link = engine.directory / "eci-runc-for-buildkit", engine.programs / "runc"
    script.write_text(f'#!/bin/sh\nexec {ECI_RUNC} --real-runtime=/usr/sbin/runc {" ".join(engine.args)} "$@"\n')
    script.chmod(0o755)
    link.symlink_to(script)
    try:
        yield
    finally:
        link.unlink()


def built(engine: Engine, client: str, dockerfile: str, *, kit: bool = False, options: str = "") -> Result:
    script = SCRIPT.format(kit=int(kit), options=options)
    return engine.docker("exec", "-i", client, "sh", "-c", script, stdin=dockerfile)


def test_31_builds_need_a_word_of_the_admins(engine: Engine, admin: Admin) -> None:
    """By the legacy builder and by BuildKit in the engine; buildx comes by the same endpoints."""
    admin()
    client = started(engine, *TOOLS)
    for kit in (False, True):
        refused = built(engine, client, PLAIN_FILE, kit=kit)
        assert refused.status != 0
        assert "configure eci.dockerSocket.builds in" in refused.out, refused


def test_by_the_legacy_builder(engine: Engine, tools: str) -> None:
    built(engine, tools, PLAIN_FILE).ok()
    assert inside(engine, tools, "run", "--rm", "built", "cat", "/map")[1].split()[1] != "0"
    refused = built(engine, tools, PLAIN_FILE, options="--network=host")
    assert "?networkmode: 'host' is not allowed" in refused.out


def test_buildkit_that_runs_another_runc(engine: Engine, tools: str) -> None:
    """Whatever the settings say: its steps would not be isolated."""
    runc = os.path.realpath("/usr/sbin/runc") if Path("/usr/sbin/runc").exists() else "runc"
    refused = built(engine, tools, PLAIN_FILE, kit=True)
    assert refused.status != 0
    assert f"its BuildKit runs {runc}" in refused.out, refused


def test_buildkit_that_runs_ours(engine: Engine, tools: str) -> None:
    with ours_as_runc(engine):
        done = built(engine, tools, KITS_FILE, kit=True, options=KITS_OPTIONS)
        assert done.status == 0, done
        assert "?networkmode: 'host' is not allowed" in built(engine, tools, PLAIN_FILE, kit=True, options="--network=host").out
    said = inside(engine, tools, "run", "--rm", "built", "cat", "/map")[1].split()
    assert said[:3] == ["there", "told", "0"]
    assert said[3] != "0"
