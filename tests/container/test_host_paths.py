"""Acceptance 9 to 15: host paths that no container binds, by whatever name, and those that it binds read-only."""
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support.bundle import bind
from tests.support.driver import Container, Result, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


@pytest.fixture
def keys(runtime: Runtime, playground: Path) -> Iterator[Path]:
    """A directory that the admin's settings deny, with a file in it; the file's other name lies outside."""
    keys = playground / "srv/keys"
    (keys / "below").mkdir(parents=True)
    (keys / "below/key").write_text("secret\n")
    os.link(keys / "below/key", playground / "other-name")
    (playground / "link").symlink_to(keys)
    write_settings(runtime, {"bindMounts": {"denied": [str(keys), str(keys / "below/key")], "readOnly": [str(playground / "tools")]}})
    (playground / "tools").mkdir()
    yield keys
    runtime.settings.unlink()
    for path in (playground / "other-name", playground / "link", keys / "below/key"):
        path.unlink()
    for path in (keys / "below", keys, playground / "srv", playground / "tools"):
        path.rmdir()


def write_settings(runtime: Runtime, eci: dict[str, object]) -> None:
    runtime.settings.write_text(json.dumps({"enhancedContainerIsolation": {"value": True}, "eci": eci}))
    runtime.settings.chmod(0o644)


def restricted(container: Container, result: Result, source: Path | str, detail: str = "") -> str:
    """Docker's sentence, the id of an event at its end; nothing is left. `detail` may be its beginning. The id."""
    assert result.status == 1
    core = f"error in the container spec: can't mount {source} because it's configured as a restricted host mount{detail}"
    match = re.fullmatch(rf"eci-runc: create {container.id}: {re.escape(core)}[^ ]* \[([0-9a-f]{{16}})\]\n", result.err)
    assert match, result.err
    assert json.loads(container.log.read_text().splitlines()[-1])["msg"].startswith(core)
    assert not [left for left in left_behind(container.runtime) if container.id in left or "directory" in left]
    return match[1]


@pytest.mark.parametrize(("source", "detail"), [
    ("/etc/shadow", ""), ("/etc/docker", ""), ("/proc/self/root/etc/docker", None), ("/boot/", ""),
    ("/etc", "; it contains /etc/"), ("/var", "; it contains /var/lib/"), ("/var/lib", "; it contains /var/lib/"),
    ("/usr/bin", "; only a read-only mount is allowed"), ("/etc/hostname", "; only a read-only mount is allowed"),
    ("/dev/kmsg", "; it is a device of the host"), ("/sys/kernel", "; it is on a sysfs of the host"),
])  # fmt: skip
def test_of_the_built_in_list(containers: Launch, source: str, detail: str | None) -> None:
    container = containers(mounts=(bind(source, "/x"),))
    result = container.create()
    if detail is None:  # a magic link is not followed at all
        assert result.status == 1
        assert "leads through a link of procfs" in result.err
    else:
        restricted(container, result, source, detail)


def test_by_every_other_name(containers: Launch, keys: Path, playground: Path) -> None:
    """A link, a hard link, a directory below or above: what is opened decides, not how it is spelt."""
    for source, detail in (
        (keys, ""), (playground / "link", ""), (f"{playground}/./srv//keys/../keys", ""), (playground / "other-name", ""),
        (keys / "below", f"; it is inside {keys}"), (playground / "srv", f"; it contains {keys}"),
        (playground, f"; it contains {playground}"),
    ):  # fmt: skip
        container = containers(mounts=(bind(source, "/x", "ro"),))
        restricted(container, container.create(), source, detail)


def test_bound_elsewhere(containers: Launch, runtime: Runtime, keys: Path, playground: Path) -> None:
    """A bind mount of a denied directory keeps its place, whether it is the source or comes along below it."""
    elsewhere = playground / "elsewhere"
    (elsewhere / "in").mkdir(parents=True)
    before = f"mount --bind {keys / 'below'} {elsewhere / 'in'};"
    for source, detail in ((elsewhere / "in", f"; it is inside {keys}"), (elsewhere, f"; it contains {keys}")):
        container = containers(mounts=(bind(source, "/x"),))
        odd = Container(Runtime(runtime.real, runtime.directory, runtime.token, before=before), container.bundle, container.id)
        restricted(odd, odd.create(), source, detail)
    (elsewhere / "in").rmdir()
    elsewhere.rmdir()


def test_read_only_alone(containers: Launch, keys: Path, playground: Path) -> None:
    container = containers(mounts=(bind(playground / "tools", "/x"),))
    restricted(container, container.create(), playground / "tools", "; only a read-only mount is allowed")
    containers(mounts=(bind("/usr", "/usr2", "ro"), bind(playground / "tools", "/x", "ro"))).up().exec("ls", "/usr2").ok()


def test_only_the_allowed(containers: Launch, runtime: Runtime, playground: Path) -> None:
    (playground / "ok/below").mkdir(parents=True)
    write_settings(runtime, {"bindMounts": {"allowed": [str(playground / "ok")]}})
    refused = containers(mounts=(bind("/usr", "/x", "ro"),))
    restricted(refused, refused.create(), "/usr", "; it is not at or below an allowed path")
    containers(mounts=(bind(playground / "ok/below", "/x"),)).up().exec("ls", "/x").ok()
    runtime.settings.unlink()
    (playground / "ok/below").rmdir()
    (playground / "ok").rmdir()


def test_a_socket_of_the_host(containers: Launch, playground: Path) -> None:
    path = playground / "some.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        container = containers(mounts=(bind(path, "/x"),))
        restricted(container, container.create(), path, "; it is a socket of the host that is not the engine's")
    path.unlink()
