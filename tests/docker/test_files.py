"""Files in and out of a container: volumes, cp, diff, export, commit, build; owners as the user sees them."""
import os
import tarfile
from pathlib import Path

import pytest

from tests.docker.conftest import PLAIN
from tests.support.engine import Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")


def exported(engine: Engine, container: str) -> dict[str, tarfile.TarInfo]:
    """docker export: what stands in the archive, by path."""
    file = engine.directory / "export.tar"
    engine.docker("export", "--output", str(file), container).ok()
    with tarfile.open(file) as tar:
        found = {member.name.rstrip("/"): member for member in tar.getmembers()}
    file.unlink()
    return found


def diff(engine: Engine, container: str) -> set[str]:
    return set(engine.docker("diff", container).ok().out.splitlines())


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_named_volume(engine: Engine, mode: str) -> None:
    engine.run("-v", "data:/t", "box", "sh", "-c", "echo kept >/t/file; chown 1000 /t/file").ok()
    result = engine.run("-v", f"data:/t:{mode}", "box", "sh", "-c", "stat -c %u /t/file; cat /t/file; touch /t/more && echo wrote")
    engine.docker("volume", "rm", "data").ok()
    assert result.out.split() == ["1000", "kept"] + (["wrote"] if mode == "rw" else [])


@pytest.mark.parametrize("mode", ["rw", "ro"])
def test_bind_volume_of_roots(engine: Engine, tmp_path: Path, mode: str) -> None:
    """A directory below one without o+x: nobody else reaches it, so ids on disk are those seen inside."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "there").write_text("content\n")
    os.chown(source / "there", 1000, 1000)
    script = "stat -c %u /t /t/there; cat /t/there; touch /t/new && chown 7 /t/new && echo wrote"
    result = engine.run("-v", f"{source}:/t:{mode}", "box", "sh", "-c", script)
    assert result.out.split() == ["0", "1000", "content"] + (["wrote"] if mode == "rw" else [])
    assert (source / "new").exists() == (mode == "rw")
    if mode == "rw":
        assert (source / "new").stat().st_uid == 7


def test_single_file_as_a_volume(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one\n")
    engine.run("-v", f"{file}:/etc/file", "box", "sh", "-c", "cat /etc/file; echo two >>/etc/file").ok()
    assert file.read_text() == "one\ntwo\n"


def test_engines_files(engine: Engine) -> None:
    """resolv.conf, hostname and hosts are binds of files in the engine's directory."""
    script = "cat /etc/hostname; hostname; grep -c web /etc/hosts; test -w /etc/resolv.conf && echo writable"
    assert engine.run("--hostname", "web", "box", "sh", "-c", script).ok().out.split() == ["web", "web", "1", "writable"]


def test_volumes_from(engine: Engine) -> None:
    first = engine.detached("-v", "/t", "box", "sh", "-c", "echo shared >/t/file; chown 12 /t/file; exec sleep 1000")
    wait_until(lambda: engine.docker("exec", first, "stat", "-c", "%u", "/t/file").out == "12\n", "the file is there")
    assert engine.run("--volumes-from", first, "box", "sh", "-c", "cat /t/file; stat -c %u /t/file").ok().out == "shared\n12\n"


def test_copy_out_of_a_running_container(engine: Engine, sleeper: str, tmp_path: Path) -> None:
    engine.docker("exec", sleeper, "sh", "-c", "echo inside >/tmp/file; echo more >>/etc/passwd").ok()
    engine.docker("cp", f"{sleeper}:/tmp/file", str(tmp_path / "new")).ok()
    engine.docker("cp", f"{sleeper}:/etc/passwd", str(tmp_path / "changed")).ok()
    assert (tmp_path / "new").read_text() == "inside\n"
    assert (tmp_path / "changed").read_text().endswith("more\n")


def test_copy_into_a_running_container(engine: Engine, sleeper: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("outside\n")
    engine.docker("cp", str(tmp_path / "file"), f"{sleeper}:/tmp/file").ok()
    assert engine.docker("exec", sleeper, "cat", "/tmp/file").out == "outside\n"
    assert engine.docker("exec", sleeper, "stat", "-c", "%u", "/tmp/file").out == "0\n"
    (tmp_path / "passwd").write_text("root:x:0:0:replaced:/:/bin/sh\n")
    engine.docker("exec", sleeper, "cat", "/etc/passwd").ok()
    engine.docker("cp", str(tmp_path / "passwd"), f"{sleeper}:/etc/passwd").ok()
    read = ("exec", sleeper, "cat", "/etc/passwd")
    wait_until(lambda: "replaced" in engine.docker(*read).out, "the container sees the file that was copied over its own")


CHANGES = "mkdir /d; echo a >/d/a; chown 33:44 /d/a; echo b >>/etc/hostname2; rm /etc/group; mv /etc/passwd /etc/passwd2; ln -s /d /tmp/l"
CHANGED = {"A /d", "A /d/a", "C /etc", "A /etc/hostname2", "D /etc/group", "D /etc/passwd", "A /etc/passwd2", "C /tmp", "A /tmp/l"}


def test_diff_and_export_of_a_running_container(engine: Engine, sleeper: str) -> None:
    before = diff(engine, sleeper)
    engine.docker("exec", sleeper, "sh", "-c", CHANGES).ok()
    assert diff(engine, sleeper) - before == CHANGED - before
    files = exported(engine, sleeper)
    assert (files["d/a"].uid, files["d/a"].gid) == (33, 44)
    assert (files["bin/busybox"].uid, files["d"].uid) == (0, 0)
    assert "etc/group" not in files
    assert "etc/passwd2" in files


def test_commit_of_a_running_container(engine: Engine, sleeper: str) -> None:
    """What is committed has unshifted owners: it is an image like any other, under any runtime."""
    engine.docker("exec", sleeper, "sh", "-c", CHANGES).ok()
    engine.docker("commit", sleeper, "committed").ok()
    script = "stat -c %u:%g /d/a /d; cat /d/a; test -e /etc/group || echo gone; test -L /tmp/l && echo link"
    for runtime in ("runc", engine.runtime):
        assert engine.run(f"--runtime={runtime}", "committed", "sh", "-c", script).ok().out.split() == ["33:44", "0:0", "a", "gone", "link"]
    engine.docker("rmi", "committed").ok()


def test_build(engine: Engine, tmp_path: Path) -> None:
    """docker build with the default runtime: every RUN is a container of its own."""
    (tmp_path / "Dockerfile").write_text(
        "FROM box\nRUN echo built >/built && chown 5:6 /built && rm /etc/group\nCOPY --chown=9 file /file\n"
        "RUN cat /file >>/built; stat -c %u /file >>/built\nUSER 1000\nRUN test -w /built || echo no >/tmp/no\n"
    )
    (tmp_path / "file").write_text("copied\n")
    engine.docker("build", "--tag", "built", str(tmp_path)).ok()
    for runtime in ("runc", engine.runtime):
        shown = engine.run(f"--runtime={runtime}", "built", "sh", "-c", "cat /built /tmp/no; stat -c %u:%g /built; id -u").ok().out.split()
        assert shown == ["built", "copied", "9", "no", "5:6", "1000"]
    engine.docker("rmi", "built").ok()


@pytest.mark.skipif(PLAIN, reason="says something of eci-runc alone")
def test_files_on_disk_belong_to_no_host_user(engine: Engine, sleeper: str) -> None:
    """The engine's layer holds container root's files as root's: the range appears in the mount alone."""
    engine.docker("exec", sleeper, "sh", "-c", "echo x >/mine; cp /bin/busybox /suid; chmod 4755 /suid").ok()
    upper = Path(engine.docker("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", sleeper).ok().out.strip())
    assert (upper / "mine").stat().st_uid == 0
    assert upper.parent.parent.parent.stat().st_mode & 0o007 == 0, "nobody but root comes as far as the set-uid file"
