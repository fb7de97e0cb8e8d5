"""The audit file: one JSON object a line, in DIR/audit.jsonl, written by all supervisors of the host at once.

Some facts about it: a line is one write(2) with O_APPEND, so lines of several supervisors never mix. A container cannot fill the
disk: each writer has a budget of lines, what is beyond it is counted and said in a line of its own later, and the file is renamed
away at its limit, the oldest generation being lost. A write that fails is counted too: what is audited goes on without it.
"""
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.model.event import Event

NAME = "audit.jsonl"
LINES_PER_S = 50.0
BURST_LINES = 500.0
LIMIT_BYTES = 64 << 20
GENERATIONS = 4
MAX_LINE_BYTES = 64 << 10


def line(event: Event) -> bytes:
    """`event` as one line of ASCII: whatever bytes a container chose, no terminal and no parser of lines is led astray."""
    return json.dumps(asdict(event), ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


class Budget:
    """A token bucket: `rate` a second, `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left = burst
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class AuditFile:
    """One container's hand on the audit file. `dropped` counts what was not written and has not been said yet."""

    def __init__(self, directory: str, *, limit_bytes: int = LIMIT_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._path = f"{directory}/{NAME}"
        self._limit_bytes = limit_bytes
        self._budget = Budget(LINES_PER_S, BURST_LINES, clock)
        self._fd: OwnedFd | None = None
        self.written = 0
        self.dropped = 0
        self.error = ""

    def write(self, event: Event) -> bool:
        """Whether the line was written; if not it is counted, and `error` says what the system said."""
        text = line(event)
        if not self._budget.take() or len(text) > MAX_LINE_BYTES:
            self.dropped += 1
            return False
        if self.dropped:
            text = self._confession(event) + text
        try:
            fd = self._open()
            if os.write(fd, text) != len(text):
                self.error = "the disk is full"
            self._rotate(fd)
        except OSError as error:
            self.dropped += 1
            self.error = f"{self._path}: {error.strerror}"
            return False
        self.dropped = 0
        self.written += 1
        return True

    def close(self) -> None:
        if self._fd is not None:
            self._fd.close()
            self._fd = None

    def _confession(self, event: Event) -> bytes:
        told = {"v": 1, "time": event.time, "container": event.container, "root": event.root, "call": "dropped", "rule": "dropped",
                "verdict": "info", "count": self.dropped, "why": "more events than the audit file takes from one container"}
        return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"

    def _open(self) -> int:
        """The file's fd; opened anew once somebody has renamed it away."""
        if self._fd is not None:
            ours = os.fstat(self._fd.fileno())
            try:
                there = os.stat(self._path)
            except FileNotFoundError:
                there = None
            if there is not None and (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):
                return self._fd.fileno()
            self.close()
        os.makedirs(self._directory, 0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = OwnedFd(os.open(self._path, flags, 0o600))
        return self._fd.fileno()

    def _rotate(self, fd: int) -> None:
        """Renames a full file away. Under a lock, and after a second look: of two writers one does it."""
        if os.fstat(fd).st_size < self._limit_bytes:
            return
        with OwnedFd(os.open(f"{self._directory}/.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)) as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            if os.stat(self._path).st_size < self._limit_bytes:
                return
            for generation in range(GENERATIONS - 1, 0, -1):
                if os.path.lexists(older := f"{self._path}.{generation}"):
                    os.rename(older, f"{self._path}.{generation + 1}")
            os.rename(self._path, f"{self._path}.1")
