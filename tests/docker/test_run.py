"""docker run, as users type it."""
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.docker.conftest import PLAIN
from tests.support.engine import Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
KNOWN_TO_DOCKER = (1 << 38) - 1  # 20.10 ends with CAP_AUDIT_READ
isolation = pytest.mark.skipif(PLAIN, reason="says something of eci-runc alone")


@isolation
def test_uid_map_of_the_first_container(engine: Engine) -> None:
    assert engine.run("--runtime=eci-runc", "box", "cat", "/proc/self/uid_map").out == "         0     100000      65536\n"


def test_foreground_streams_and_exit_status(engine: Engine) -> None:
    result = engine.run("-i", "box", "sh", "-c", "cat; echo err >&2; exit 5", stdin="typed\n")
    assert (result.status, result.out, result.err) == (5, "typed\n", "err\n")


def test_detached_and_logs(engine: Engine) -> None:
    container = engine.detached("box", "sh", "-c", "echo one; echo two >&2; exec sleep 1000")
    wait_until(lambda: engine.docker("logs", container).err, "the second line is in the log")
    logs = engine.docker("logs", container).ok()
    assert (logs.out, logs.err) == ("one\n", "two\n")
    assert engine.docker("inspect", "-f", "{{.State.Status}}", container).out == "running\n"


def read_all(fd: int, until: bytes) -> bytes:
    """What a terminal shows until `until` or the other side's end."""
    seen = b""
    while until not in seen and select.select([fd], [], [], 20)[0]:
        try:
            seen += os.read(fd, 4096)
        except OSError:  # EIO: nobody has the other side open any more
            break
    return seen


def test_terminal(engine: Engine) -> None:
    """-it: a pty of the container's own, with the user's keys going in."""
    master, slave = pty.openpty()
    command = engine.command("run", "--rm", "-it", "box", "sh", "-c", "tty; stty -echo; read line; echo got $line; exit 4")
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=engine.environment(), start_new_session=True) as child:
        os.close(slave)
        shown = read_all(master, b"/dev/")
        os.write(master, b"keys\n")
        shown += read_all(master, b"got keys")
        assert child.wait(20) == 4
    os.close(master)
    assert b"/dev/pts/0" in shown or b"/dev/console" in shown
    assert b"got keys" in shown


def test_logging_to_dev_stdout(engine: Engine) -> None:
    """Images link their log files to /dev/stdout: opening it again needs the pipe to belong to container root."""
    links = "ln -s /dev/stdout /tmp/log; ln -s /dev/stderr /tmp/err"
    container = engine.detached("box", "sh", "-c", f"{links}; echo a >>/tmp/log; echo b >/tmp/err; echo c")
    engine.docker("wait", container).ok()
    logs = engine.docker("logs", container)
    assert (logs.out, logs.err) == ("a\nc\n", "b\n")


def test_user(engine: Engine) -> None:
    script = "id -u; id -g; touch /home/user/x && echo wrote"
    assert engine.run("--user", "1000:1000", "box", "sh", "-c", script).out == "1000\n1000\nwrote\n"
    assert engine.run("--user", "user", "box", "id", "-un").out == "user\n"


def test_stdout_of_another_user(engine: Engine) -> None:
    """The pipe belongs to container root: another user has it open, and opens it by name no more than under runc."""
    assert engine.run("--user", "1000", "box", "sh", "-c", "echo hello").out == "hello\n"


def test_read_only(engine: Engine) -> None:
    script = "touch /x; touch /run/x && echo run; touch /dev/shm/x && echo shm"
    result = engine.run("--read-only", "--tmpfs", "/run", "box", "sh", "-c", script)
    assert result.out == "run\nshm\n"
    assert "Read-only file system" in result.err


def test_tmpfs_options(engine: Engine) -> None:
    shown = engine.run("--tmpfs", "/t:size=64k,mode=1777", "--user", "1000", "box", "sh", "-c", "touch /t/x; grep ' /t ' /proc/mounts")
    assert "size=64k" in shown.ok().out


@isolation
def test_privileged(engine: Engine) -> None:
    """All capabilities, also those the host's root lacks; writable sysctls of its own namespaces; mounts of its own."""
    script = "grep CapEff /proc/self/status; sysctl -w net.ipv4.ip_forward=1; mount -t tmpfs none /t && grep -c ' /t ' /proc/mounts"
    _, held, *rest = engine.run("--privileged", "box", "sh", "-c", script).ok().out.split()
    assert int(held, 16) & KNOWN_TO_DOCKER == KNOWN_TO_DOCKER
    assert rest == ["net.ipv4.ip_forward", "=", "1", "1"]


def test_init(engine: Engine) -> None:
    assert "init" in engine.run("--init", "box", "cat", "/proc/1/cmdline").ok().out


def test_healthcheck(engine: Engine) -> None:
    options = ("--health-cmd", "test -e /tmp/well", "--health-interval", "200ms", "--health-retries", "2")
    container = engine.detached(*options, "box", "sh", "-c", "sleep 0.5; touch /tmp/well; exec sleep 1000")
    asked = ("inspect", "-f", "{{.State.Health.Status}}", container)
    wait_until(lambda: engine.docker(*asked).out == "healthy\n", "the container is healthy", 20)


def test_missing_program_is_the_users_error(engine: Engine) -> None:
    result = engine.run("box", "/no/such/program")
    assert result.status == 127
    assert "no such file or directory" in result.err


@isolation
@pytest.mark.parametrize("shared", ["pid", "ipc", "uts", "network"])
def test_host_namespace_is_refused_in_the_engines_words(engine: Engine, shared: str) -> None:
    """One sentence of ours, carried by the engine; nothing of containerd's own troubles with the log."""
    result = engine.run(f"--{shared}=host", "box", "true")
    assert result.status == 125
    assert "OCI runtime create failed: " in result.err
    assert shared in result.err
    assert "unable to retrieve OCI runtime error" not in result.err


@isolation
@pytest.mark.parametrize("where", ["image", "volume"])
def test_device_node_cannot_be_opened(engine: Engine, tmp_path: Path, where: str) -> None:
    """--privileged lifts the device cgroup: what stands between a node in an image or volume and the host's memory is nodev."""
    os.mknod(tmp_path / "mem", 0o20666, os.makedev(1, 1))
    (tmp_path / "probe").write_bytes((engine.directory / "image/bin/probe").read_bytes())
    (tmp_path / "probe").chmod(0o755)
    if where == "image":
        engine.import_image(tmp_path, "nodes")
        words = ["nodes", "/probe", "open", "/mem"]
    else:
        words = ["-v", f"{tmp_path}:/t", "box", "probe", "open", "/t/mem"]
    result = engine.run("--privileged", *words).ok()
    if where == "image":
        engine.docker("rmi", "nodes").ok()
    assert result.out == "open: EACCES\n"
