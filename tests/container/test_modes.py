"""The two modes: eci keeps the engine's capabilities, system gives container root all of them inside its user namespace."""
import subprocess
from dataclasses import replace

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import DOCKER_CAPABILITIES, all_capabilities
from tests.support.driver import ECI_RUNC, Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
ALL = (1 << len(all_capabilities())) - 1
EFFECTIVE = "sed -n 's/CapEff:.//p' /proc/self/status"


def effective(container: Container) -> int:
    return int(container.sh(EFFECTIVE).ok().out, 16)


def test_eci_mode_keeps_the_engines_capabilities(container: Container) -> None:
    assert effective(container).bit_count() == len(DOCKER_CAPABILITIES)


def test_system_mode_gives_all_capabilities(containers: Launch, runtime: Runtime) -> None:
    container = containers(under=replace(runtime, mode="system")).up()
    assert int(container.sh("sed -n 's/CapEff:.//p' /proc/1/status").ok().out, 16) == ALL


def test_system_mode_opens_tunables(containers: Launch, runtime: Runtime) -> None:
    container = containers(under=replace(runtime, mode="system")).up()
    assert container.sh("echo 1 >/proc/sys/vm/overcommit_memory; cat /proc/sys/vm/overcommit_memory").out == "1\n"


def test_mode_by_the_programs_name(containers: Launch, runtime: Runtime) -> None:
    """containerd passes no arguments to a runtime: the name says the mode."""
    container = containers()
    link = runtime.directory / "eci-runc-system"
    if not link.exists():
        link.symlink_to(ECI_RUNC)
    words = [str(link) if word == str(ECI_RUNC) else word for word in runtime.argv() if not word.startswith("--mode")]
    with container.out.open("wb") as out:
        command = [*words, "create", f"--bundle={container.bundle}", container.id]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=30, env=runtime.environment())
    container.start().ok()
    assert container.record().mode.value == "system"
