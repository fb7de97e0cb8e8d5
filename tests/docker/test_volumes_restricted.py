"""Acceptance 9 to 13: what Docker's own ways of mounting host paths come to, volumes with driver options among them."""
import os
import subprocess
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.support.driver import Result
from tests.support.engine import Engine

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")


def restricted(result: Result, source: str, detail: str = "") -> None:
    """Exit 125 and Docker's sentence."""
    assert result.status == 125, result
    core = f"error in the container spec: can't mount {source} because it's configured as a restricted host mount{detail}"
    assert core in result.err, result.err


def test_the_engines_configuration(engine: Engine) -> None:
    restricted(engine.run("-v", "/etc/docker/key.json:/x", "box", "true"), "/etc/docker/key.json", "; it is inside /etc/docker")
    restricted(engine.run("--mount", "type=bind,src=/etc,dst=/x,readonly", "box", "true"), "/etc", "; it contains /etc/")
    restricted(engine.run("-v", "/:/x:ro", "box", "true"), "/", "; it contains /")


def test_the_engines_data(engine: Engine) -> None:
    """Volumes and the engine's own files pass; what else is in its data root does not."""
    data = engine.directory / "data"
    assert engine.run("-v", "own:/v", "box", "sh", "-c", "echo x > /v/f && cat /v/f").ok().out == "x\n"
    engine.docker("volume", "rm", "own").ok()
    restricted(engine.run("-v", f"{data}:/x:ro", "box", "true"), str(data))
    restricted(engine.run("-v", f"{data}/image:/x:ro", "box", "true"), f"{data}/image", f"; it is inside {data}")
    restricted(engine.run("-v", f"{engine.directory}:/x:ro", "box", "true"), str(engine.directory), "; it contains ")


@pytest.mark.parametrize(("options", "detail"), [
    (("type=none", "o=bind", "device=/etc/docker"), ""),
    (("type=none", "o=bind", "device=/etc/systemd/system"), "; it is inside /etc/systemd"),
    (("type=none", "o=bind", "device=/etc"), "; it contains /etc/"),
    (("type=overlay", "o=lowerdir=/etc:/srv", "device=overlay"), "; it contains /etc/"),
])  # fmt: skip
def test_volumes_by_driver_options(engine: Engine, options: tuple[str, ...], detail: str) -> None:
    """13: the local driver mounts another place of the host where the volume is."""
    engine.docker("volume", "create", *(word for option in options for word in ("--opt", option)), "odd").ok()
    volume = f"{engine.directory}/data/volumes/odd/_data"
    result = engine.run("-v", "odd:/v:ro", "box", "ls", "/v")
    engine.docker("volume", "rm", "odd").ok()
    restricted(result, volume, detail)


def test_a_volume_of_another_place_that_is_free(engine: Engine) -> None:
    there = engine.directory / "free"
    there.mkdir()
    (there / "file").write_text("content")
    engine.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={there}", "free").ok()
    result = engine.run("-v", "free:/v", "box", "ls", "/v")
    engine.docker("volume", "rm", "free").ok()
    assert result.ok().out == "file\n"
    engine.docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory").ok()
    engine.run("-v", "memory:/v", "box", "touch", "/v/x").ok()
    engine.docker("volume", "rm", "memory").ok()


def test_a_link_that_flips_while_containers_start(engine: Engine) -> None:
    """12: what is denied is never shown, whichever way a start meets the link."""
    good, link = engine.directory / "good", engine.directory / "flip"
    good.mkdir()
    over = Event()

    def flip() -> None:
        targets = [good, Path("/etc/ssh")]
        while not over.is_set():
            for target in targets:
                (engine.directory / "flip.new").symlink_to(target)
                os.rename(engine.directory / "flip.new", link)

    link.symlink_to(good)
    flipping = Thread(target=flip)
    flipping.start()
    try:
        results = [engine.run("-v", f"{link}:/x", "box", "ls", "/x") for _ in range(8)]
    finally:
        over.set()
        flipping.join()
    for result in results:
        assert result.status in (0, 125)
        assert result.out == ""


def test_devices_are_there_and_powerless(engine: Engine) -> None:
    """--device and --privileged show the host's nodes; their owner is nobody whom the container knows."""
    disk = subprocess.check_output(["findmnt", "-n", "-o", "SOURCE", "--target", "/var"], text=True).strip()
    result = engine.run(f"--device={disk}", "box", "sh", "-c", f"ls -ln {disk}; head -c1 {disk}")
    assert "65534" in result.out
    assert "Permission denied" in result.err or "not permitted" in result.err
