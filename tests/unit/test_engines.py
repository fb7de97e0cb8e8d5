"""What is known of an engine besides its answers: on which sockets it listens, with which runc it builds, which version it speaks."""
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from eci_supervisor.docker import builders
from eci_supervisor.docker.created import bind_sources
from eci_supervisor.docker.versions import Versions
from eci_supervisor.linux.listening import listening_paths, socket_identity
from eci_supervisor.settings.images import image_of

LISTENER = """
import socket, sys
held = socket.socket(socket.AF_UNIX)
held.bind(sys.argv[1])
held.listen()
print("listens", flush=True)
for version in sys.argv[2:]:
    connection, _ = held.accept()
    connection.recv(65536)
    body = '{"ApiVersion":"1.%s"}' % version
    connection.sendall(("HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body)).encode())
    connection.close()
sys.stdin.read()
"""
ID = "sha256:" + "0a1b" * 16


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    """A socket on which a process of that name listens, which answers GET /version twice: 1.41, then 1.44."""
    path = tmp_path / "a b.sock"  # a path may have spaces
    program = tmp_path / "dockerd"
    shutil.copy(sys.executable, program)
    environment = {"PATH": str(tmp_path), builders.VARIABLE: str(tmp_path / "eci-runc-wrapped"), "PYTHONHOME": sys.base_prefix}
    with subprocess.Popen([program, "-S", "-c", LISTENER, path, "41", "44"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"listens\n"
        yield path
        process.kill()


def test_the_sockets_of_a_process(tmp_path: Path) -> None:
    """Those that listen, by the paths that they were made by."""
    with socket.socket(socket.AF_UNIX) as listens, socket.socket(socket.AF_UNIX) as bound:
        listens.bind(str(tmp_path / "x y"))
        listens.listen()
        bound.bind(str(tmp_path / "idle"))
        found = [path for path in listening_paths(os.getpid()) if path.startswith(str(tmp_path))]
        os.link(tmp_path / "x y", tmp_path / "hard")
        (tmp_path / "soft").symlink_to("hard")
        identities = {socket_identity(str(tmp_path / name)) for name in ("x y", "hard", "soft")}
    assert found == [str(tmp_path / "x y")]
    assert len(identities) == 1
    assert socket_identity(str(tmp_path)) is None
    assert socket_identity(str(tmp_path / "none")) is None
    assert listening_paths(0) == ()


def test_the_runc_of_buildkit(engine: Path, tmp_path: Path) -> None:
    """By the variable where the engine knows it, by PATH where it does not; nothing of a process that is not there."""
    for name in ("eci-runc-wrapped", "real"):
        (tmp_path / name).touch(0o755)
    (tmp_path / "runc").symlink_to("real")
    assert builders._buildkits_runc(str(engine), 41) == str(tmp_path / "real")
    assert builders._buildkits_runc(str(engine), 42) == str(tmp_path / "eci-runc-wrapped")
    assert builders._buildkits_runc(str(tmp_path / "other.sock"), 42) == ""


def test_a_version_is_asked_once_and_again_of_an_engine_that_was_started_again(engine: Path) -> None:
    versions = Versions()

    async def newest() -> int:
        return await versions.newest(str(engine))

    assert [trio.run(newest), trio.run(newest)] == [41, 41]
    versions.told(str(engine), ((b"api-version", b"1.42"),))
    assert trio.run(newest) == 42
    versions.told(str(engine), ((b"server", b"x"),))
    versions.told("/another", ((b"api-version", b"1.30"),))
    assert trio.run(newest) == 42
    os.utime(engine)  # as if it had been made anew
    assert trio.run(newest) == 44


def test_the_sources_of_a_create() -> None:
    mounts = [{"Type": "bind", "Source": "/b"}, {"Type": "volume", "Source": "c"}]
    assert bind_sources({"HostConfig": {"Binds": ["/a:/x:ro", "name:/y"], "Mounts": mounts}}) == ("/a", "/b")
    assert bind_sources({}) == bind_sources({"HostConfig": None}) == ()


@pytest.mark.parametrize(("typed", "reference"), [
    (ID, ""), (ID[7:], ""), (ID[7:19], ""), ("0a1c", "docker.io/library/0a1c:latest"), ("box", "docker.io/library/box:latest"),
    ("0a1b", ""),
])  # fmt: skip
def test_an_image_run_by_its_id(typed: str, reference: str) -> None:
    """By all of it or by its beginning, as engines take it; unless that is a name which the image has."""
    assert image_of(ID, typed, (), (), ()).reference == reference
    assert image_of(ID, "0a1b", ("0a1b:latest",), (), ()).reference == "docker.io/library/0a1b:latest"
