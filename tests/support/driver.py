"""Driving a runtime as a user would: one command at a time, output in files.

Never through a pipe: the container's init inherits what create was given, and a reader of the pipe would wait for the container's end.
"""
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.state import ContainerState, container_key
from tests.support.waiting import DEADLINE_S, SLOWNESS, wait_gone, wait_until

REPOSITORY = Path(__file__).parent.parent.parent
ECI_RUNC = REPOSITORY / ".venv/bin/eci-runc"
ECI = REPOSITORY / ".venv/bin/eci"
COMMAND_S = 30.0 * SLOWNESS
# crun 1.8.1 refuses a host that mixes cgroup v1 and v2, so it gets a mount namespace without the second.
WITHOUT_V2 = "if mountpoint -q /sys/fs/cgroup/unified; then umount -l /sys/fs/cgroup/unified; fi;"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: exit status and its two outputs."""

    status: int
    out: str
    err: str

    def ok(self) -> "Result":
        """Itself; raises AssertionError with all there is to see."""
        assert self.status == 0, self
        return self

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime and where it keeps its things.

    real: "runc" or "crun"; plain: without eci-runc, to see that a test's own means are right; directory: for outputs and state, 0711;
    token: marks cgroups and processes of this run; before: a shell script run in a mount namespace of the command's own, before it.
    """

    real: str
    directory: Path
    token: str
    plain: bool = False
    mode: str = "eci"
    before: str = ""

    @property
    def root(self) -> Path:
        return self.directory / f"root-{self.real}"

    @property
    def state_dir(self) -> Path:
        return self.directory / "s"

    @property
    def audit_dir(self) -> Path:
        return self.directory / "audit"

    @property
    def settings(self) -> Path:
        """The admin's file, absent unless a test writes it: never this host's own."""
        return self.directory / "admin-settings.json"

    def argv(self) -> list[str]:
        script = " ".join((WITHOUT_V2 if self.real == "crun" else "", self.before)).strip()
        prefix = ["unshare", "--mount", "--propagation=slave", "sh", "-ec", f'{script} exec "$@"', "sh"] if script else []
        if self.plain:
            return [*prefix, self.real, f"--root={self.root}"]
        ours = [f"--state-dir={self.state_dir}", f"--audit-dir={self.audit_dir}", f"--real-runtime={self.program()}", f"--mode={self.mode}",
                f"--settings={self.settings}"]
        return [*prefix, str(ECI_RUNC), *ours, f"--root={self.root}"]

    def program(self) -> str:
        return next(f"{part}/{self.real}" for part in ("/usr/sbin", "/usr/bin", "/sbin", "/bin") if os.path.exists(f"{part}/{self.real}"))

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "ECI_TEST_RUN": self.token}

    def start(self, *words: str, name: str = "command", cwd: Path | None = None) -> tuple["subprocess.Popen[bytes]", Path, Path]:
        """The command as a child, and the files of its outputs."""
        out, err = self.directory / f"{name}.out", self.directory / f"{name}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            child = subprocess.Popen(
                [*self.argv(), *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=cwd, env=self.environment()
            )
        return child, out, err

    def run(self, *words: str, name: str = "command", cwd: Path | None = None, deadline_s: float = COMMAND_S) -> Result:
        child, out, err = self.start(*words, name=name, cwd=cwd)
        with child:
            try:
                status = child.wait(deadline_s)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        return Result(status, out.read_text(errors="replace"), err.read_text(errors="replace"))

    def eci(self, *words: str) -> Result:
        """The `eci` command on this state directory."""
        command = [str(ECI), *words, f"--state-dir={self.state_dir}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        return Result(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a runtime, by its bundle and id."""

    runtime: Runtime
    bundle: Path
    id: str

    @property
    def out(self) -> Path:
        """What init has written to stdout and stderr of create."""
        return self.runtime.directory / f"{self.id}.out"

    @property
    def err(self) -> Path:
        return self.runtime.directory / f"{self.id}.err"

    @property
    def directory(self) -> ContainerDir:
        """Where eci-runc keeps it."""
        return StateDir(str(self.runtime.state_dir)).container(container_key(str(self.runtime.root), self.id))

    def record(self) -> ContainerState:
        """What eci-runc has written down of it."""
        return ContainerState.from_bytes(Path(self.directory.state).read_bytes())

    def kill_supervisor(self) -> None:
        """SIGKILL, and returns when it is gone."""
        pid = self.record().supervisor_pid
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)

    @property
    def log(self) -> Path:
        """The runtime's log, JSON lines: where an engine looks for an error."""
        return self.bundle / "log.json"

    def _global(self) -> tuple[str, ...]:
        return (f"--log={self.log}", "--log-format=json")

    def create(self, *options: str) -> Result:
        return self.runtime.run(*self._global(), "create", f"--bundle={self.bundle}", *options, self.id, name=self.id, cwd=self.bundle)

    def start(self) -> Result:
        return self.runtime.run("start", self.id)

    def up(self, *options: str) -> "Container":
        """Created and started."""
        self.create(*options).ok()
        self.start().ok()
        return self

    def run(self, *options: str, deadline_s: float = COMMAND_S) -> Result:
        """The runtime's own `run`: in the foreground until init ends, whose exit status it has."""
        words = (*self._global(), "run", f"--bundle={self.bundle}", *options, self.id)
        return self.runtime.run(*words, name=self.id, cwd=self.bundle, deadline_s=deadline_s)

    def exec(self, *args: str, options: tuple[str, ...] = (), deadline_s: float = COMMAND_S) -> Result:
        return self.runtime.run("exec", *options, self.id, *args, name=f"{self.id}.exec", deadline_s=deadline_s)

    def sh(self, script: str, *, options: tuple[str, ...] = ()) -> Result:
        return self.exec("sh", "-c", script, options=options)

    def probe(self, *words: str) -> list[str]:
        """The lines of tests/programs/probe.c, run inside."""
        return self.exec("probe", *words).ok().lines

    def kill(self, name: str = "KILL") -> Result:
        return self.runtime.run("kill", self.id, name)

    def delete(self, *options: str) -> Result:
        return self.runtime.run("delete", *options, self.id)

    def state(self) -> dict[str, Any]:
        """The runtime's own account of it; raises AssertionError if it knows no such container."""
        state: dict[str, Any] = json.loads(self.runtime.run("state", self.id).ok().out)
        return state

    @property
    def pid(self) -> int:
        return int(self.state()["pid"])

    def wait_stopped(self) -> None:
        """Returns once init has ended."""
        state = self.state()
        if state["status"] != "stopped":
            wait_gone(int(state["pid"]))
            wait_until(lambda: self.state()["status"] == "stopped", f"{self.id} is stopped")

    def remove(self) -> None:
        """Ends and deletes it, whatever state it is in, or if it never was."""
        self.runtime.run("delete", "--force", self.id, name=f"{self.id}.delete", deadline_s=DEADLINE_S + COMMAND_S).ok()
