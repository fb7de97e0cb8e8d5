"""A view served by a process of its own, as in life: the tests are its readers."""
import errno
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
    """`process` serves; `top` is the root of the views, `tunables` that of the others, through file descriptors that outlive its mounts."""

    process: subprocess.Popen[str]
    top: Path
    tunables: Path

    def proc(self, name: str) -> Path:
        """A file of procfs; below sys/ a tunable, but for boot_id."""
        return (self.tunables if name.startswith("sys/") else self.top) / "proc" / name

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
            fds = [os.open(f"/proc/{process.pid}/root{directory}/m/{name}", os.O_PATH | os.O_DIRECTORY) for name in ("nodes", "tunables")]
            try:
                yield Served(process, *(Path(f"/proc/{os.getpid()}/fd/{fd}") for fd in fds))
            finally:
                for fd in fds:
                    os.close(fd)
            if process.poll() is None:
                _, errors = process.communicate(timeout=10)
                assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


def read_once(path: str | Path, size: int = 65536) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def sent_once(path: str | Path) -> bytes:
    """As busybox cat reads: by sendfile, which takes from the page cache what is there, and by read where that is refused."""
    into, out = os.pipe()
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.sendfile(out, fd, None, 4096):
            continue
        os.close(out)
        out = -1
        return os.read(into, 65536)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.read(fd, 65536)
    finally:
        os.close(fd)
        os.close(into)
        if out >= 0:
            os.close(out)


def write_once(path: str, text: bytes, flags: int = 0) -> int:
    """Number of bytes taken, or the negative errno."""
    fd = os.open(path, os.O_WRONLY | flags)
    try:
        return os.write(fd, text)
    except OSError as error:
        return -(error.errno or 0)
    finally:
        os.close(fd)
