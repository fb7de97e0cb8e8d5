"""A whole life of a container: create, start, exec, kill, delete, and run."""
import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container, Result

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


def test_create_start_exec_kill_delete(containers: Launch) -> None:
    container = containers(args=("sh", "-c", "echo started; exec sleep 1000"))
    assert container.create().ok().out == ""
    assert container.state()["status"] == "created"
    container.start().ok()
    assert container.state()["status"] == "running"
    assert container.sh("echo $((6*7)); exit 3") == Result(3, "42\n", "")
    assert container.out.read_text() == "started\n"
    container.kill().ok()
    container.wait_stopped()
    container.delete().ok()
    assert container.runtime.run("state", container.id).status != 0


def test_run_has_inits_exit_status(containers: Launch) -> None:
    result = containers(args=("sh", "-c", "echo out; echo err >&2; exit 7")).run()
    assert (result.status, result.out, result.err) == (7, "out\n", "err\n")


def test_container_that_exits_at_once(containers: Launch) -> None:
    container = containers(args=("true",))
    container.up().wait_stopped()
    container.delete().ok()


def test_delete_force_of_an_unknown_container_succeeds(containers: Launch) -> None:
    """containerd's shim deletes a second time after each normal delete."""
    containers().remove()


def test_volumes_read_only_and_writable(containers: Launch, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("volume")
    (source / "there").write_text("content\n")
    mounts = (bind(source, "/t", "ro"), bind(source, "/mnt"))
    container = containers(mounts=mounts).up()
    assert container.sh("cat /t/there; echo new >/mnt/new && cat /t/new; echo no >/t/no").out == "content\nnew\n"
    assert not (source / "no").exists()
    assert (source / "new").stat().st_uid == 0


def test_pause_and_resume(container: Container) -> None:
    container.runtime.run("pause", container.id).ok()
    assert container.state()["status"] == "paused"
    container.runtime.run("resume", container.id).ok()
    assert container.sh("echo resumed").out == "resumed\n"
