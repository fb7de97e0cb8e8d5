"""A view served by a process of its own, as in life: the tests are its readers."""
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Served:
    """`process` serves; `top` is the mount's root, reached through a file descriptor that outlives the server's mount namespace."""

    process: subprocess.Popen[str]
    top: Path

    def proc(self, name: str) -> Path:
        return self.top / "proc" / name

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().rstrip("\n")

    def requests(self) -> int:
        return int(self.ask("requests"))


@contextmanager
def served(directory: Path, uid: int = 0, *options: str) -> Iterator[Served]:
    """Fails if the server printed anything to stderr, or did not end by itself when told to."""
    command = [sys.executable, "-m", "tests.programs.serve_view", str(directory), str(uid), *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload] # pipes are ints
        assert process.stdout is not None
        try:
            if (line := process.stdout.readline()) != "ready\n":
                raise AssertionError(f"{line}{process.stderr.read()}")
            fd = os.open(f"/proc/{process.pid}/root{directory}/m", os.O_PATH | os.O_DIRECTORY)
            try:
                yield Served(process, Path(f"/proc/{os.getpid()}/fd/{fd}"))
            finally:
                os.close(fd)
            if process.poll() is None:
                _, errors = process.communicate(timeout=10)
                assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()
