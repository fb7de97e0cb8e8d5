"""What goes wrong with our own processes, and what is seen then. One test, one failure."""
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support import host
from tests.support.bundle import bind
from tests.support.driver import Container
from tests.support.waiting import wait_gone, wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
AT_ONCE_S = 2.0
FUSE_MAGIC = "65735546"
NR_MOUNT = {"x86_64": 165, "aarch64": 40}[os.uname().machine]
NR_FCHDIR = {"x86_64": ("81",), "aarch64": ("50",)}[os.uname().machine]
NR_OPEN = {"x86_64": ("257", "437"), "aarch64": ("56", "437")}[os.uname().machine]  # openat, openat2


def mounter_of(container: Container) -> int:
    """The process id of the supervisor's eci-mounter."""
    supervisor = container.record().supervisor_pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    (found,) = (int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "eci-mounter\n")
    return found


def in_background(container: Container, script: str) -> Path:
    """Starts a script inside that writes /tmp/out, and /tmp/done at its end; returns the second, seen from outside.

    An exec would bring a new supervisor: what is to run without one must be there before.
    """
    container.sh(f"({{ {script}; }} >/tmp/out 2>&1; touch /tmp/done) >/dev/null 2>&1 &").ok()
    return container.bundle / "rootfs/tmp/done"


def output(container: Container) -> list[str]:
    return (container.bundle / "rootfs/tmp/out").read_text().splitlines()


def test_supervisor_killed_while_a_container_runs(privileged: Container) -> None:
    """Trapped calls ENOSYS, nodes ENOTCONN, both at once; locks hold, the rest of /proc works; stop and delete work."""
    script = (
        "until test -e /tmp/go; do sleep 0.05; done; probe mount proc /t proc - , umount /proc/uptime , unshare uts , fsopen proc , "
        "move-mount /proc/uptime /tmp , open /proc/uptime; cat /proc/meminfo; cat /proc/self/comm"
    )
    done = in_background(privileged, script)
    privileged.kill_supervisor()
    begin = time.monotonic()
    (done.parent / "go").touch()
    wait_until(done.exists, "the script inside has ended")
    assert time.monotonic() - begin < AT_ONCE_S
    assert output(privileged) == [
        "mount: ENOSYS", "umount: ENOSYS", "unshare: ENOSYS", "fsopen: ENOSYS", "move-mount: EINVAL", "open: ENOTCONN",
        "cat: can't open '/proc/meminfo': Transport endpoint is not connected", "cat",
    ]  # fmt: skip
    privileged.kill().ok()
    privileged.wait_stopped()
    privileged.delete().ok()


def blocked_in(container: Container, call: int) -> bool:
    """Whether a process of the container is inside system call number `call`."""
    pids = [p.pid for p in host.processes(f"/{container.runtime.token}-{container.id}")]
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # the script's short-lived ones
            if Path(f"/proc/{pid}/syscall").read_text().startswith(f"{call} "):
                return True
    return False


def test_supervisor_killed_while_a_call_is_pending(privileged: Container) -> None:
    """The kernel answers ENOSYS when a listener closes: nothing hangs, nothing is half done."""
    done = in_background(privileged, "until test -e /tmp/go; do sleep 0.05; done; probe mount proc /t proc -")
    supervisor, mounter = privileged.record().supervisor_pid, mounter_of(privileged)
    for pid in (supervisor, mounter):
        os.kill(pid, signal.SIGSTOP)
    (done.parent / "go").touch()
    wait_until(lambda: blocked_in(privileged, NR_MOUNT), "the call is pending")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(done.exists, "the call has returned", AT_ONCE_S)
    assert output(privileged) == ["mount: ENOSYS"]
    assert not [line for line in host.mountinfo(privileged.pid) if " /t " in line]
    wait_gone(mounter)


def stuck_child(mounter: int, numbers: tuple[str, ...] = NR_OPEN) -> bool:
    """Whether a child of the mounter is inside a call on a path, and not waiting for work: in the container's FUSE then."""
    children = Path(f"/proc/{mounter}/task/{mounter}/children").read_text().split()
    with suppress(FileNotFoundError, ProcessLookupError):
        return any(Path(f"/proc/{pid}/syscall").read_text().split()[0] in numbers for pid in children)
    return False


@pytest.fixture
def with_fuse(containers: Launch, playground: Path) -> Iterator[Container]:
    """All capabilities, and /dev/fuse open to all."""
    fuse = playground / "fuse-of-b11"
    os.mknod(fuse, 0o20666, os.makedev(10, 229))
    fuse.chmod(0o666)
    yield containers(privileged=True, mounts=(bind(fuse, "/dev/fuse"),)).up()
    fuse.unlink()


def kill_both(container: Container, mounter: int) -> None:
    """The supervisor first: it would answer for a mounter that has ended."""
    for pid in (container.record().supervisor_pid, mounter):
        os.kill(pid, signal.SIGKILL)


def test_b11_supervisor_and_mounter_killed_with_a_child_stuck_in_fuse(with_fuse: Container) -> None:
    """The child outlives them, for as long as the container's server likes; it has no listener that would keep callers waiting."""
    done = in_background(with_fuse, "attack fuse-hang /mnt /t")
    mounter = mounter_of(with_fuse)
    wait_until(lambda: stuck_child(mounter), "a child is stuck")
    kill_both(with_fuse, mounter)
    wait_until(done.exists, "the calls have returned", AT_ONCE_S)
    assert output(with_fuse) == [
        "mount below: ENOSYS", "in time: yes", "mount elsewhere: ENOSYS", "umount elsewhere: ENOSYS"]


def test_b11_supervisor_and_mounter_killed_with_a_child_that_cannot_close(with_fuse: Container) -> None:
    """The same of one that was given another file than it had looked at, while it is not yet the caller."""
    done = in_background(with_fuse, "attack fuse-swap /mnt /t")
    mounter = mounter_of(with_fuse)
    wait_until(lambda: "withheld" in output(with_fuse), "a child is stuck", 30 * AT_ONCE_S)
    kill_both(with_fuse, mounter)
    wait_until(done.exists, "the calls have returned", AT_ONCE_S)
    assert output(with_fuse) == [
        "withheld", "fsmount: ENOSYS", "in time: yes", "mount elsewhere: ENOSYS", "umount elsewhere: ENOSYS"]


def test_b11_a_child_that_is_let_go_after_its_mounter_has_ended(with_fuse: Container) -> None:
    """It was on its way to become the caller, when no signal tells a child that its parent died: it ends by itself."""
    in_background(with_fuse, "attack fuse-cwd /mnt /t")
    mounter = mounter_of(with_fuse)
    wait_until(lambda: stuck_child(mounter, NR_FCHDIR), "a child is stuck")
    children = [int(pid) for pid in Path(f"/proc/{mounter}/task/{mounter}/children").read_text().split()]
    kill_both(with_fuse, mounter)
    wait_until(lambda: output(with_fuse) == ["mount below: ENOSYS", "in time: yes"], "the calls have returned", AT_ONCE_S)
    for pid in children:
        wait_gone(pid, 3 * AT_ONCE_S)


def test_fork_server_killed(containers: Launch, container: Container) -> None:
    """Running containers do not notice, and the next create starts another one."""
    socket = container.runtime.state_dir / "fork.sock"
    server = host.listener_of(socket)
    assert server
    os.kill(server, signal.SIGKILL)
    wait_gone(server)
    assert container.sh("cat /proc/uptime && echo served").ok().lines[-1] == "served"
    other = containers().up()
    assert other.exec("cat", "/proc/uptime").ok().out
    assert host.listener_of(socket) not in (None, server)


def test_mounter_killed(privileged: Container) -> None:
    """The supervisor starts another one; meanwhile nodes and calls decided in C are served, an emulated call gets an errno at the most."""
    mounter = mounter_of(privileged)
    os.kill(mounter, signal.SIGKILL)
    assert privileged.exec("cat", "/proc/uptime").ok().out
    wait_until(lambda: privileged.probe("mount", "proc", "/t", "proc", "-") == ["mount: OK"], "emulation is back")
    assert privileged.probe("statfs", "/t/uptime")[0] == f"/t/uptime is {FUSE_MAGIC}"
    assert mounter_of(privileged) != mounter


def test_mounter_killed_while_a_call_is_pending(privileged: Container) -> None:
    """The call, one with options, gets an errno, or is made by the next mounter: it neither hangs nor leaves half a tree."""
    done = in_background(privileged, "until test -e /tmp/go; do sleep 0.05; done; probe mount proc /t proc - hidepid=invisible")
    mounter = mounter_of(privileged)
    os.kill(mounter, signal.SIGSTOP)
    (done.parent / "go").touch()
    wait_until(lambda: blocked_in(privileged, NR_MOUNT), "the call is pending")
    os.kill(mounter, signal.SIGKILL)
    wait_until(done.exists, "the call has returned", AT_ONCE_S)
    mounts = [line.split()[2] for line in host.mountinfo(privileged.pid)]
    assert output(privileged) in (["mount: EIO"], ["mount: OK"])
    assert mounts.count("/t") == mounts.count("/t/uptime") == (output(privileged) == ["mount: OK"])


def test_b08_paused_while_a_call_is_pending(privileged: Container) -> None:
    """Nobody of ours waits for the frozen: the container can be asked about, and after it is resumed the call ends well."""
    done = in_background(privileged, "until test -e /tmp/go; do sleep 0.05; done; probe mount proc /t proc - hidepid=invisible")
    mounter = mounter_of(privileged)
    os.kill(mounter, signal.SIGSTOP)
    (done.parent / "go").touch()
    wait_until(lambda: blocked_in(privileged, NR_MOUNT), "the call is pending")
    privileged.runtime.run("pause", privileged.id).ok()
    os.kill(mounter, signal.SIGCONT)
    assert privileged.runtime.eci("inspect", privileged.id).ok().out
    privileged.runtime.run("resume", privileged.id).ok()
    wait_until(done.exists, "the call has returned")
    assert output(privileged) == ["mount: OK"]


@pytest.mark.parametrize("round_", range(10))
def test_create_killed_between_any_two_steps(containers: Launch, round_: int) -> None:
    """Whatever create had done: after delete --force no mount, lease, process or directory is left."""
    container = containers()
    child, _, _ = container.runtime.start("create", f"--bundle={container.bundle}", container.id, name=container.id, cwd=container.bundle)
    random.seed(f"{container.runtime.real} {round_}")
    time.sleep(random.random() * 0.4)  # no event to wait for: anywhere is what is asked
    child.kill()
    child.wait()
    container.remove()
    wait_until(lambda: not left_behind(container.runtime), f"nothing is left: {left_behind(container.runtime)}")
    container.up()


def test_volume_that_cannot_be_idmapped_says_so_and_goes_on(containers: Launch, playground: Path) -> None:
    """devtmpfs cannot be idmapped: the volume is there, its files nobody's, and the user reads what that means."""
    container = containers(mounts=(bind("/dev/pts", "/mnt"),))
    result = container.create()
    result.ok()
    container.start().ok()
    assert "/dev/pts" in container.log.read_text() + result.err
    assert "nobody" in container.log.read_text() + result.err
    assert container.exec("stat", "-c", "%u", "/mnt").ok().out == "65534\n"


def test_exec_where_no_supervisor_can_be_had(container: Container) -> None:
    """Nothing is run unvetted: one sentence, and the container goes on."""
    container.kill_supervisor()
    record = Path(container.directory.state)
    record.rename(f"{record}.aside")
    result = container.exec("true")
    Path(f"{record}.aside").rename(record)
    assert result.status != 0
    assert len(result.err.splitlines()) == 1
    assert container.state()["status"] == "running"
    container.exec("true").ok()


def test_container_that_exits_at_once_leaves_nothing(containers: Launch) -> None:
    for _ in range(5):
        container = containers(args=("true",))
        assert container.run().status == 0
        assert not Path(container.directory.path).exists()
