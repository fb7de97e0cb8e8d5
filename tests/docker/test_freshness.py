"""The engine's overlay beside ours: after a random file workload diff, export, cp and commit are as they are under runc."""
import os
import random
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import host
from tests.support.engine import Engine
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
ROUNDS = 6
STEPS = 25
LOWER = ("/etc/passwd", "/etc/group", "/etc/hostname.orig", "/home/user/a", "/home/user/b", "/var/c")  # names of the image, and new ones
PLACES = ("/tmp", "/var", "/home/user", "/etc", "/d0", "/d1")


def workload(chance: random.Random) -> Iterator[str]:
    """Shell commands over few names, so that they meet; each may fail, and then fails under both runtimes.

    No set-uid bits: a write by root of a user namespace takes them off a file, one by host root does not (CAP_FSETID is the host's).
    """

    def name() -> str:
        return chance.choice([*LOWER, *(f"{place}/f{chance.randrange(4)}" for place in PLACES)])

    for number in range(STEPS):
        place = chance.choice(PLACES)
        yield chance.choice([
            f"echo {number} >{name()}",
            f"echo {number} >>{name()}",
            f"rm -rf {name()}",
            f"mv {name()} {name()}",
            f"mkdir -p {place}/g{number % 3}",
            f"rmdir {place}/g{number % 3}",
            f"ln -s {name()} {place}/l{number % 3}",
            f"ln {name()} {place}/h{number % 3}",
            f"chmod {chance.choice(['600', '755', '644'])} {name()}",
            f"chown {chance.randrange(100)}:{chance.randrange(100)} {name()}",
            f"cp {name()} {name()}",
            f"mv {place}/g{number % 3} {chance.choice(PLACES)}/m{number % 3}",
        ])  # fmt: skip


Listing = dict[str, tuple[object, ...]]


def exported(engine: Engine, container: str) -> Listing:
    """What export says of each file: type, owner, mode, link, content. Times differ by when the commands ran."""
    file = engine.directory / "export.tar"
    engine.docker("export", "--output", str(file), container).ok()
    found: Listing = {}
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr] # a regular file has one
            found[member.name.rstrip("/")] = (member.type, member.uid, member.gid, member.mode, member.linkname, content)
    file.unlink()
    return found


def differences(engine: Engine, ours: str, theirs: str) -> list[object]:
    """What diff and export say differently of the two containers."""
    diffs = [set(engine.docker("diff", container).ok().out.splitlines()) for container in (ours, theirs)]
    files = [exported(engine, container) for container in (ours, theirs)]
    pairs = {name: (files[0].get(name), files[1].get(name)) for name in files[0].keys() | files[1].keys()}
    return [*sorted(diffs[0] ^ diffs[1]), *((name, *two) for name, two in pairs.items() if two[0] != two[1])]


def committed(engine: Engine, container: str) -> Listing:
    """The files of an image made of the container."""
    engine.docker("commit", container, "fresh").ok()
    other = engine.docker("create", "fresh", "true").ok().out.strip()
    files = exported(engine, other)
    engine.docker("rm", other).ok()
    engine.docker("rmi", "fresh").ok()
    return files


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.timeout(180)
def test_random_workload(engine: Engine, tmp_path: Path, seed: int) -> None:
    """Both containers do the same; files are copied in and out meanwhile, so that the engine's overlay has looked everywhere."""
    chance = random.Random(seed)
    pair = [engine.detached(f"--runtime={runtime}", "box", "sleep", "1000") for runtime in (engine.runtime, "runc")]
    for container in pair:
        engine.docker("exec", container, "mkdir", "-p", "/d0", "/d1").ok()
    for round_ in range(ROUNDS):
        script = "\n".join(workload(chance))
        for container in pair:
            engine.docker("exec", container, "sh", "-c", f"exec 2>/dev/null\n{script}\ntrue").ok()
        (tmp_path / "in").write_text(f"copied in round {round_}\n")
        for container in pair:
            engine.docker("cp", str(tmp_path / "in"), f"{container}:/etc/passwd").ok()
        wait_until(lambda: not differences(engine, *pair), f"no differences: {differences(engine, *pair)}")
    for container in pair:
        assert engine.docker("exec", container, "cat", "/etc/passwd").out == f"copied in round {ROUNDS - 1}\n"
    assert committed(engine, pair[0]) == committed(engine, pair[1])
    for name in ("/etc/passwd", "/bin/busybox"):
        for container, where in zip(pair, ("ours", "theirs"), strict=True):
            engine.docker("cp", f"{container}:{name}", str(tmp_path / where)).ok()
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_the_next_fork_server_takes_over(engine: Engine, sleeper: str, tmp_path: Path) -> None:
    """Of containers that an earlier one knew: what the engine writes they see, though they had looked before."""
    assert engine.docker("exec", sleeper, "ls", "/var/new").status != 0
    socket = engine.directory / "s/fork.sock"
    server = host.listener_of(socket)
    assert server is not None
    os.kill(server, signal.SIGKILL)
    wait_gone(server)
    engine.docker("run", "--rm", "box", "true").ok()
    assert host.listener_of(socket) not in (server, None)
    (tmp_path / "new").write_text("copied in\n")
    engine.docker("cp", str(tmp_path / "new"), f"{sleeper}:/var/new").ok()
    wait_until(lambda: engine.docker("exec", sleeper, "cat", "/var/new").out == "copied in\n", "the container sees what was copied")
    assert "old files" not in (engine.directory / "s/fork.log").read_text()
