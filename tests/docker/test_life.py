"""A container's life in the engine's commands: exec, stop, kill, restart, pause, stats, top, and an engine that is restarted."""
import json
import time
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
STOP_AT_ONCE = "trap 'echo stopped; exit 3' TERM; echo up; while :; do sleep 0.1; done"


def status(engine: Engine, container: str) -> str:
    return engine.docker("inspect", "-f", "{{.State.Status}}", container).ok().out.strip()


def test_exec(engine: Engine, sleeper: str) -> None:
    result = engine.docker("exec", "-i", "-e", "WORD=said", "-w", "/tmp", sleeper, "sh", "-c", "cat; echo $WORD; pwd; exit 9", stdin="in\n")
    assert (result.status, result.out) == (9, "in\nsaid\n/tmp\n")


def test_exec_as_another_user(engine: Engine, sleeper: str) -> None:
    assert engine.docker("exec", "--user", "1000", sleeper, "id", "-u").ok().out == "1000\n"


def test_exec_in_system_mode_has_all_capabilities(engine: Engine) -> None:
    box = engine.detached("--runtime=eci-runc-system", "box", "sleep", "1000")
    script = "grep CapEff /proc/1/status /proc/self/status; pwd; mount -t tmpfs x /mnt"
    first, second, *rest = engine.docker("exec", "-w", "/tmp", box, "sh", "-c", script).ok().out.split("\n")
    assert (first.split()[-1], rest) == (second.split()[-1], ["/tmp", ""])


def test_exec_logs_to_dev_stdout(engine: Engine, sleeper: str) -> None:
    assert engine.docker("exec", sleeper, "sh", "-c", "echo again >/dev/stdout").ok().out == "again\n"


def test_detached_exec(engine: Engine, sleeper: str) -> None:
    engine.docker("exec", "-d", sleeper, "touch", "/tmp/done").ok()
    wait_until(lambda: engine.docker("exec", sleeper, "test", "-e", "/tmp/done").status == 0, "the command has run")


def test_stop_is_a_signal_first(engine: Engine) -> None:
    container = engine.detached("box", "sh", "-c", STOP_AT_ONCE)
    wait_until(lambda: engine.docker("logs", container).out == "up\n", "the trap is set")
    engine.docker("stop", "--time", "20", container).ok()
    assert engine.docker("logs", container).out == "up\nstopped\n"
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", container).out == "3\n"


def test_kill(engine: Engine, sleeper: str) -> None:
    engine.docker("kill", sleeper).ok()
    assert engine.docker("wait", sleeper).out == "137\n"


def test_44_restart_keeps_the_files_and_no_tunable(engine: Engine) -> None:
    panic, host = "/proc/sys/kernel/panic", Path("/proc/sys/kernel/panic").read_text()
    container = engine.detached("--privileged", "box", "sh", "-c", "echo x >>/tmp/starts; exec sleep 1000")
    for _ in range(2):
        assert engine.docker("exec", container, "sh", "-c", f"cat {panic}; echo 77 >{panic}; cat {panic}").out == f"{host}77\n"
        engine.docker("restart", "--time", "0", container).ok()
    wait_until(lambda: engine.docker("exec", container, "cat", "/tmp/starts").out == "x\nx\nx\n", "it has started three times")


def test_start_of_a_stopped_container(engine: Engine) -> None:
    engine.docker("create", "--name", "again", "box", "sh", "-c", "echo run >>/tmp/runs; cat /tmp/runs").ok()
    assert [engine.docker("start", "-a", "again").ok().out for _ in range(2)] == ["run\n", "run\nrun\n"]


def test_pause(engine: Engine, sleeper: str) -> None:
    engine.docker("pause", sleeper).ok()
    assert status(engine, sleeper) == "paused"
    engine.docker("unpause", sleeper).ok()
    assert engine.docker("exec", sleeper, "echo", "awake").ok().out == "awake\n"


def test_paused_container_can_be_removed(engine: Engine, sleeper: str) -> None:
    engine.docker("pause", sleeper).ok()
    engine.docker("rm", "--force", sleeper).ok()


def test_stats(engine: Engine) -> None:
    container = engine.detached("--memory", "64m", "box", "sh", "-c", "while :; do :; done")
    shown = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", container).ok().out)
    assert float(shown["CPUPerc"].rstrip("%")) > 1
    assert shown["MemUsage"].endswith(" / 64MiB")
    assert int(shown["PIDs"]) == 1


def test_top(engine: Engine, sleeper: str) -> None:
    shown = engine.docker("top", sleeper, "-o", "pid,args").ok().out.splitlines()
    assert [line.split(None, 1)[1] for line in shown] == ["COMMAND", "sleep 1000"]


def test_update_of_limits(engine: Engine, sleeper: str) -> None:
    engine.docker("update", "--memory", "32m", "--memory-swap", "32m", sleeper).ok()
    assert engine.docker("inspect", "-f", "{{.HostConfig.Memory}}", sleeper).out == f"{32 << 20}\n"


def test_out_of_memory(engine: Engine) -> None:
    container = engine.detached("--memory", "8m", "--memory-swap", "8m", "box", "sh", "-c", "tail -c 64m /dev/zero")
    assert engine.docker("wait", container).out == "137\n"


def test_many_at_once(engine: Engine) -> None:
    ids = [engine.detached("box", "sleep", "1000") for _ in range(8)]
    assert len(set(ids)) == 8
    begin = time.monotonic()
    engine.docker("rm", "--force", *ids).ok()
    assert time.monotonic() - begin < 20


def test_live_restore(engine: Engine, sleeper: str) -> None:
    """Containers do not notice an engine that goes and comes back; afterwards it commands them as before."""
    started = engine.docker("inspect", "-f", "{{.State.Pid}}", sleeper).ok().out
    engine.stop()
    engine.start()
    assert engine.docker("inspect", "-f", "{{.State.Pid}}", sleeper).ok().out == started
    assert engine.docker("exec", sleeper, "echo", "still").ok().out == "still\n"
    engine.docker("stop", "--time", "0", sleeper).ok()
    assert status(engine, sleeper) == "exited"
