"""A container that uses Docker: docker's CLI is in its image, and the host's own tools can be had by a bind of /usr."""
import json
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.driver import REPOSITORY, Result
from tests.support.engine import Engine
from tests.support.rootfs import make_root
from tests.support.software import add_programs

IMAGE = "client"
SOCKET = "/var/run/docker.sock"
# Debian's docker, docker-compose and Python, and from PyPI what the environment of these tests has: the docker SDK and testcontainers.
TOOLS = ("--volume=/usr:/usr:ro", f"--volume={sysconfig.get_path('purelib')}:/site:ro",
         f"--volume={REPOSITORY / 'tests/programs'}:/programs:ro", "--env=PYTHONDONTWRITEBYTECODE=1")  # fmt: skip


def make_image(engine: Engine) -> str:
    """Imports it; its id."""
    root = make_root(engine.directory / IMAGE)
    for name in ("lib", "lib64"):  # as Debian has them: the loader of the host's programs is found below /usr
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    add_programs(root, ["docker"])
    engine.import_image(root, IMAGE, "ENV PATH=/usr/bin:/bin", "ENV DOCKER_BUILDKIT=0")
    shutil.rmtree(root)
    return engine.docker("images", "--no-trunc", "--quiet", IMAGE).ok().out.strip()


@contextmanager
def admins_file(engine: Engine) -> Iterator[Path]:
    """Where the admin's file is to be; there is none afterwards."""
    path = engine.directory / "admin-settings.json"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def listing(engine: Engine, *images: dict[str, object], **rules: object) -> str:
    """An admin's file in which these images may have the socket; rules: more of eci.dockerSocket."""
    return json.dumps({"enhancedContainerIsolation": {"value": True},
                       "eci": {"dockerSocket": {"engine": str(engine.socket), "images": images, **rules}}})  # fmt: skip


def started(engine: Engine, *options: str, image: str = IMAGE) -> str:
    """The id of such a container that runs, with the engine's socket asked for."""
    return engine.detached(f"--volume={engine.socket}:{SOCKET}", *options, image, "sleep", "1000")


def inside(engine: Engine, client: str, *words: str, stdin: str | None = None) -> tuple[int, str, str]:
    """docker WORDS… in it: status, output, errors."""
    done = engine.docker("exec", "-i", client, "docker", *words, stdin=stdin)
    return done.status, done.out, done.err


def python(engine: Engine, client: str, program: str, *words: str) -> Result:
    """A program of tests/programs in it, by Debian's Python; for a container with TOOLS."""
    return engine.docker("exec", "--env=PYTHONPATH=/site", client, "/usr/bin/python3", f"/programs/{program}", *words)
