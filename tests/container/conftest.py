"""Containers for tests: one state directory, one --root and one fork server a run; after each test nothing of its containers is left.

ECI_TEST_PLAIN=1 runs runc and crun themselves: what fails then is a test's own means, not the isolation.
"""
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import host
from tests.support.bundle import Recipe, make_bundle
from tests.support.driver import REPOSITORY, Container, Runtime
from tests.support.rootfs import make_root
from tests.support.waiting import wait_gone, wait_until

PLAIN = bool(os.environ.get("ECI_TEST_PLAIN"))
OUR_PROGRAMS = REPOSITORY / "eci_supervisor/bin"
BEFORE = frozenset(process.pid for process in host.processes(programs=OUR_PROGRAMS))  # of somebody else who uses this checkout
Launch = Callable[..., Container]


@pytest.fixture(scope="session")
def playground() -> Iterator[Path]:
    """A directory with a short name that container root can walk through."""
    directory = Path(tempfile.mkdtemp(prefix="eci-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def root_image(playground: Path) -> Path:
    return make_root(playground / "image")


@pytest.fixture(scope="session")
def untouched_host(playground: Path) -> Iterator[None]:
    """The whole run leaves /proc/sys and the host's mounts as they were, and no cgroup. Other runs have playgrounds of their own."""
    def ours() -> set[str]:
        return {line for line in host.own_mounts() if playground.name in line or "/tmp/eci-" not in line}

    sysctls, mounts = host.sysctls(), ours()
    yield
    assert {path: value for path, value in host.sysctls().items() if sysctls.get(path) != value} == {}
    assert ours() ^ mounts == set()
    assert host.cgroups_left(playground.name) == []


@pytest.fixture(scope="session")
def run_directory(playground: Path, untouched_host: None) -> Iterator[Path]:
    """What all runtimes of this run share; at the end their fork server is ended."""
    yield playground
    server = host.listener_of(playground / "s/fork.sock")
    if server is not None:
        os.kill(server, signal.SIGTERM)
        wait_gone(server)


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, run_directory: Path) -> Runtime:
    """eci-runc in front of each of the two runtimes."""
    return Runtime(request.param, run_directory, run_directory.name, plain=PLAIN)


def left_behind(runtime: Runtime) -> list[str]:
    """What is left of containers: processes, directories, leases. The fork server itself may stay."""
    server = host.listener_of(runtime.state_dir / "fork.sock")
    known = {server, *BEFORE}
    found = [f"process {p}" for p in host.processes(runtime.token, programs=OUR_PROGRAMS) if p.pid not in known]
    found += [f"directory {path}" for path in runtime.state_dir.glob("c/*")]
    found += [f"container {path}" for path in runtime.root.glob("*")]
    found += [f"mount {line}" for line in host.mountinfo() if runtime.token in line]
    return found


@pytest.fixture
def containers(runtime: Runtime, root_image: Path) -> Iterator[Launch]:
    """Makes containers that are not yet created, by Recipe's keywords. All are deleted at the end, and must then have left nothing."""
    made: list[Container] = []
    numbers = itertools.count()

    def prepare(*, under: Runtime = runtime, **wanted: object) -> Container:
        name = f"{under.real}-{next(numbers)}"
        bundle = under.directory / f"b-{name}"
        recipe = Recipe(**wanted)  # type: ignore[arg-type] # the keywords are Recipe's
        make_bundle(bundle, root_image, recipe, cgroups_path=f"/{under.token}-{name}")
        made.append(Container(under, bundle, name))
        return made[-1]

    yield prepare
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Container.remove, made))
    for container in made:
        shutil.rmtree(container.bundle)
    wait_until(lambda: not left_behind(runtime), f"nothing is left: {left_behind(runtime)}")


@pytest.fixture
def closed(playground: Path) -> Iterator[Path]:
    """A volume that no other user of the host reaches, with a file `there` in it."""
    (playground / "closed/volume").mkdir(parents=True)
    (playground / "closed").chmod(0o700)
    (playground / "closed/volume/there").write_text("content\n")
    yield playground / "closed/volume"
    shutil.rmtree(playground / "closed")


@pytest.fixture
def host_network(playground: Path) -> Iterator[Path]:
    """A file that is the host's network namespace."""
    with host.namespace_file(playground / "hostnet", "net") as path:
        yield path


@pytest.fixture
def container(containers: Launch) -> Container:
    """An ordinary container that runs."""
    return containers().up()


@pytest.fixture
def privileged(containers: Launch) -> Container:
    """A container that runs with all capabilities and without masks, as under `docker run --privileged`."""
    return containers(privileged=True).up()


def write_rules(runtime: Runtime, **keys: object) -> None:
    """The admin's file with these keys of `syscalls`; `limits` stands beside it."""
    limits = {"limits": keys.pop("limits")} if "limits" in keys else {}
    runtime.settings.write_text(json.dumps({"enhancedContainerIsolation": {"value": True}, "eci": {"syscalls": keys, **limits}}))
    runtime.settings.chmod(0o644)
