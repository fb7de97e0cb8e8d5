"""Containers and supervisors that end, or begin, while calls are on their way; and what can be reached of a node whose server is gone."""
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container
from tests.support.rootfs import PROGRAMS, compile_program
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
NOTIFY = "anon_inode:seccomp notify"
AT_ONCE_S = 2.0
IDLE_SHARE = 0.05
VIRTUAL = "is 65735546"


@pytest.fixture(scope="module")
def programs(playground: Path) -> Path:
    directory = playground / "life"
    directory.mkdir()
    for name in ("flood", "rewriter"):
        compile_program(PROGRAMS / f"{name}.c", directory / name)
    return directory


@pytest.fixture
def target(containers: Launch, programs: Path) -> Container:
    """All capabilities, the programs in /x."""
    return containers(privileged=True, mounts=(bind(programs, "/x", "ro"),)).up()


def holders() -> set[int]:
    """Processes of this host that hold a listener, whoever's."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(os.readlink(link) == NOTIFY for link in (entry / "fd").iterdir()):
                    found.add(int(entry.name))
            except OSError:
                continue  # gone meanwhile
    return found


def cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_b11_nobody_holds_the_listener_of_a_dead_supervisor(target: Container) -> None:
    """Else a call would hang where the kernel says ENOSYS. With calls of all kinds on their way, and emulations."""
    supervisor = target.record().supervisor_pid
    ours = {supervisor, *map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())}
    child, out, _ = target.runtime.start("exec", target.id, "/x/flood", "32", "emulated", "1", name=f"{target.id}.flood")
    with child:
        wait_until(lambda: "begun" in out.read_text(), "the flood has begun")
        assert supervisor in holders()
        target.kill_supervisor()
        wait_until(lambda: not holders() & ours, "its processes have ended", AT_ONCE_S)
        assert child.wait(10) == 0
    assert "ENOSYS" in out.read_text()


def test_f12_k10_descriptors_of_nodes_outlive_their_server(target: Container) -> None:
    """A file and a directory that were open before: ENOTCONN, never what lies below the node."""
    script = (
        "exec 3</proc/meminfo 4</proc/sys/kernel 5</proc; until test -e /tmp/go; do sleep 0.05; done; "
        "cat <&3; cat /proc/self/fd/4/panic; cat /proc/self/fd/5/uptime; cat /proc/self/fd/5/self/comm"
    )
    target.sh(f"({{ {script}; }} >/tmp/out 2>&1; touch /tmp/done) >/dev/null 2>&1 &").ok()
    wait_until(lambda: any((target.bundle / "rootfs/tmp").iterdir()), "the script has its output")
    target.kill_supervisor()
    (target.bundle / "rootfs/tmp/go").touch()
    wait_until((target.bundle / "rootfs/tmp/done").exists, "the script has ended")
    lines = (target.bundle / "rootfs/tmp/out").read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["Transport endpoint is not connected"] * 3 + ["cat"]


def test_b14_after_the_storm_the_serving_threads_rest(target: Container) -> None:
    """Callers killed and callers interrupted at once: the threads survive that, end with their execs, and use no CPU afterwards."""
    def one(words: tuple[str, ...]) -> int:
        name = f"{target.id}.{words[0]}"
        return target.runtime.run("exec", target.id, "/x/rewriter", *words, name=name, deadline_s=60).status

    target.sh("mkdir /tmp/a /tmp/b").ok()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, [("gone", "150", "/tmp/a"), ("storm", "150", "/tmp/b")])) == [0, 0]
    supervisor = target.record().supervisor_pid
    before, begin = cpu_s(supervisor), time.monotonic()
    time.sleep(1)  # what is measured is a time of rest
    assert (cpu_s(supervisor) - before) / (time.monotonic() - begin) < IDLE_SHARE
    assert target.probe("mount", "proc", "/t", "proc", "-", ",", "umount", "/t") == ["mount: OK", "umount: OK"]


def test_b20_a_container_ends_with_calls_pending(target: Container) -> None:
    """Its supervisor is gone at once, and deleting it leaves nothing, as with every container here."""
    child, out, _ = target.runtime.start("exec", target.id, "/x/flood", "50", "emulated", "30", name=f"{target.id}.flood")
    with child:
        wait_until(lambda: "begun" in out.read_text(), "the flood has begun")
        supervisor = target.record().supervisor_pid
        target.kill().ok()
        child.wait(30)
    wait_gone(supervisor)
    target.delete("--force").ok()
    assert not Path(target.directory.state).parent.exists()


def test_b21_no_exec_ever_runs_unvetted(containers: Launch) -> None:
    """While it starts, and while it stops: a procfs is refused, or virtual, or the exec itself fails."""
    container = containers(privileged=True)
    container.create().ok()

    def one(number: int) -> str:
        steps = "unshare mnt , mount proc /t proc - , statfs /t/uptime"
        done = container.runtime.run("exec", container.id, "probe", *steps.split(), name=f"{container.id}.exec.{number}")
        return done.out if done.status == 0 else ""

    with ThreadPoolExecutor(6) as pool:
        starting = [pool.submit(one, number) for number in range(6)]
        container.start().ok()
        running = [pool.submit(one, number) for number in range(6, 18)]
        wait_until(lambda: any(each.done() for each in running), "an exec has ended")
        container.kill()
        told = [each.result() for each in (*starting, *running)]
    assert all(VIRTUAL in text or "mount: OK" not in text for text in told), told
    assert any(VIRTUAL in text for text in told)
