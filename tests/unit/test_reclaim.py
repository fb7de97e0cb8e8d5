"""What reclaim removes, and what it leaves alone."""
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.forkserver.reclaim import ReclaimFailed, reclaim
from eci_supervisor.life import record
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.linux.removal import MAX_DEPTH, remove_tree
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState, Mode, container_key


def container(state_dir: StateDir, **more: object) -> ContainerState:
    """A container's directory and record, as create leaves them."""
    key = container_key(str(more.get("root", "/run/runc")), "web1")
    plain = {"key": key, "id": "web1", "root": "/run/runc", "bundle": "/b", "mode": Mode.ECI, "ids": IdRange(100000), "token": "t",
             "real_runtime": "/usr/sbin/runc", "audit_dir": "/tmp", "created": 1.0, "rootfs": "/r"}
    state = ContainerState(**{**plain, **more})  # type: ignore[arg-type] # plain is of ContainerState's types
    os.makedirs(state_dir.container(key).path)
    record.store(state_dir.container(key), state)
    return state


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state_dir = StateDir(str(tmp_path))
    state = container(state_dir, masked=("/proc/kcore",), sysctls=(("net.core.somaxconn", "1"),))
    assert record.load(state_dir.container(state.key)) == state
    assert record.load_all(state_dir) == [state]
    assert os.listdir(state_dir.container(state.key).path) == ["state.json"]


def test_nothing_is_left_and_the_second_time_succeeds(tmp_path: Path) -> None:
    state_dir, work = StateDir(str(tmp_path / "run")), tmp_path / "layer" / "eci-work"
    (work / "work").mkdir(parents=True, mode=0o700)
    (work / "work" / "#1").write_bytes(b"")
    container(state_dir, overlay_work=str(work))
    for _ in range(2):
        reclaim(state_dir, "/run/runc", "web1")
    assert os.listdir(state_dir.containers) == []
    assert os.listdir(tmp_path / "layer") == []


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, as a container's init does before its start."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_container_that_runs_keeps_all_it_has(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    state_dir, known = StateDir(str(tmp_path / "run")), tmp_path / "runc" / "web1"
    known.mkdir(parents=True)
    state = container(state_dir, root=str(known.parent), init_pid=stranger.pid, init_start=start_time(stranger.pid))
    with pytest.raises(ReclaimFailed, match="still runs"):
        reclaim(state_dir, state.root, "web1")
    assert stranger.poll() is None
    assert record.load(state_dir.container(state.key)) == state


def test_an_init_that_the_real_runtime_knows_nothing_of_is_ended(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    state_dir = StateDir(str(tmp_path / "run"))
    container(state_dir, root=str(tmp_path / "runc"), init_pid=stranger.pid, init_start=start_time(stranger.pid))
    reclaim(state_dir, str(tmp_path / "runc"), "web1")
    assert stranger.wait(5) == -signal.SIGTERM
    assert os.listdir(state_dir.containers) == []


def test_a_pid_that_is_another_process_by_now_is_left(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    state_dir = StateDir(str(tmp_path / "run"))
    container(state_dir, root=str(tmp_path / "runc"), init_pid=stranger.pid, init_start=1)
    reclaim(state_dir, str(tmp_path / "runc"), "web1")
    assert stranger.poll() is None


def test_a_directory_that_create_never_makes_is_left(tmp_path: Path) -> None:
    state_dir, precious = StateDir(str(tmp_path / "run")), tmp_path / "precious"
    precious.mkdir()
    container(state_dir, overlay_work=str(precious))
    with pytest.raises(ReclaimFailed, match="overlay_work"):
        reclaim(state_dir, "/run/runc", "web1")
    assert precious.is_dir()


def test_links_are_removed_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_bytes(b"")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    remove_tree(str(tmp_path / "tree"))
    (tmp_path / "tree").symlink_to(tmp_path / "outside")
    remove_tree(str(tmp_path / "tree"))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_a_tree_without_end_is_an_error(tmp_path: Path) -> None:
    deep = tmp_path.joinpath("tree", *"d" * (MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    with pytest.raises(OSError, match="too deep"):
        remove_tree(str(tmp_path / "tree"))
