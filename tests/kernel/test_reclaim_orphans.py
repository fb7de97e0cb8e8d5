"""A create that was killed before the real runtime had noted its container: the runtime's own child is ended by what it has mounted."""
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.forkserver.reclaim import ReclaimFailed, reclaim
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import start_time
from eci_supervisor.model.state import container_key
from tests.support.waiting import wait_until

ROOT = "/run/runc"


@pytest.fixture
def state_dir(tmp_path: Path) -> StateDir:
    return StateDir(str(tmp_path / "run"))


def waiting_child(config: Path, start: int) -> subprocess.Popen[bytes]:
    """A process with ids of its own, and `config` among its mounts, as the runtime's child between clone and pivot_root."""
    script = 'mount --bind "$1" "$1" && exec unshare --user sleep 60'
    child = subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", str(config)])
    own = os.readlink("/proc/self/ns/user")
    wait_until(lambda: os.readlink(f"/proc/{child.pid}/ns/user") != own, "a user namespace of its own")
    Path(f"/proc/{child.pid}/uid_map").write_text(f"0 {start} 65536")
    return child


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def leased(state_dir: StateDir, container_id: str) -> tuple[Path, int]:
    """What create has made by then: the directory with config.json, and a lease that knows no init."""
    key = container_key(ROOT, container_id)
    config = Path(state_dir.container(key).path, "config.json")
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    lease = Leases(state_dir).take(key, creator_pid=os.getpid(), creator_start=start_time(os.getpid()) or 0)
    return config, lease.start


def test_what_the_runtime_had_forked_is_ended(state_dir: StateDir, children: list[subprocess.Popen[bytes]]) -> None:
    config, start = leased(state_dir, "web1")
    children.append(waiting_child(config, start))
    reclaim(state_dir, ROOT, "web1")
    assert children[0].wait(5) == -signal.SIGKILL
    assert Leases(state_dir).listing() == ()
    assert os.listdir(state_dir.containers) == []


def test_another_containers_process_is_left(state_dir: StateDir, children: list[subprocess.Popen[bytes]]) -> None:
    _, start = leased(state_dir, "web1")
    others, _ = leased(state_dir, "web2")
    children.append(waiting_child(others, start))
    with pytest.raises(ReclaimFailed, match="still runs"):
        reclaim(state_dir, ROOT, "web1")
    assert children[0].poll() is None
