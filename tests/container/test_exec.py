"""exec: a listener and a filter of its own, stdio that can be opened again, the container's calls vetted as init's are."""
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")


def test_streams_and_status(container: Container) -> None:
    result = container.sh("echo out; echo err >&2; exit 9")
    assert (result.status, result.out, result.err) == (9, "out\n", "err\n")


def test_process_file(container: Container) -> None:
    """Engines pass the process as a file."""
    process = {"args": ["sh", "-c", "echo $A; pwd; id -u"], "cwd": "/tmp", "env": ["PATH=/bin", "A=b"], "user": {"uid": 1000, "gid": 1000}}
    file = container.bundle / "process.json"
    file.write_text(json.dumps(process))
    done = container.runtime.run("exec", f"--process={file}", container.id, name=f"{container.id}.exec")
    assert done.ok().out == "b\n/tmp\n1000\n"


def test_detached_with_a_pid_file(container: Container) -> None:
    file = container.bundle / "exec.pid"
    container.exec("sleep", "1000", options=("--detach", f"--pid-file={file}")).ok()
    status = Path(f"/proc/{file.read_text()}/status").read_text()
    assert "Seccomp:\t2\n" in status


def test_every_process_is_filtered_and_none_holds_a_listener(container: Container) -> None:
    """CVE-2016-9962 and its kin: nothing of ours is open in a process of the container."""
    container.exec("sleep", "1000", options=("--detach",)).ok()
    for pid in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()):
        try:
            if f"/{container.runtime.token}-{container.id}" not in Path(f"/proc/{pid}/cgroup").read_text():
                continue
            links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
            status = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            continue
        assert "Seccomp:\t2\n" in status
        assert not [link for link in links if "seccomp" in link or link.startswith("socket:")]


def test_calls_are_vetted_in_an_exec(privileged: Container) -> None:
    assert privileged.probe("mount", "proc", "/t", "proc", "-", ",", "statfs", "/t/uptime")[-2:] == ["/t/uptime is 65735546", "statfs: OK"]


def test_exec_into_an_unsupervised_container_brings_a_supervisor(privileged: Container) -> None:
    """On the same listener path: what is exec'd is vetted; what runs under the old filter keeps ENOSYS."""
    privileged.kill_supervisor()
    assert privileged.probe("mount", "proc", "/t", "proc", "-", ",", "umount", "/proc/uptime") == ["mount: OK", "umount: EINVAL"]
    assert Path(f"/proc/{privileged.record().supervisor_pid}").exists()


def test_many_execs_at_once(container: Container) -> None:
    def one(number: int) -> str:
        return container.runtime.run("exec", container.id, "echo", str(number), name=f"{container.id}.exec.{number}").ok().out

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(16))) == sorted(f"{n}\n" for n in range(16))
