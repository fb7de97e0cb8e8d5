"""The supervisor's own log, DIR/c/KEY/log: warnings and failures, one a line, bounded. It goes with the container."""
import logging
import os
import time

from eci_supervisor.linux.fds import OwnedFd

LIMIT_BYTES = 256 << 10


class Log:
    """Appends lines until the limit; what comes then is only counted, in `suppressed`."""

    def __init__(self, path: str, *, fresh: bool = False) -> None:
        """`fresh`: without what was in it. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if fresh else 0)
        self._fd = OwnedFd(os.open(path, flags, 0o600))
        self._left_bytes = LIMIT_BYTES - os.fstat(self._fd.fileno()).st_size
        self.suppressed = 0

    def fileno(self) -> int:
        return self._fd.fileno()

    def close(self) -> None:
        self._fd.close()

    def info(self, text: str) -> None:
        self._write("info", text)

    def warning(self, text: str) -> None:
        """A promise is weaker than the user could expect, or something was out of the ordinary and is dealt with."""
        self._write("warning", text)

    def failure(self, text: str) -> None:
        """We broke: someone must look."""
        self._write("error", text)

    def _write(self, level: str, text: str) -> None:
        shown = text.encode("unicode_escape").decode("ascii").replace("\\n", "\n    ")
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {level}: {shown}\n".encode("ascii")
        if len(line) > self._left_bytes:
            self.suppressed += 1
            return
        self._left_bytes -= len(line)
        try:
            os.write(self._fd.fileno(), line)
        except OSError:  # a full disk must not end a supervisor
            self.suppressed += 1


class LogHandler(logging.Handler):
    """What modules say to the standard library's `logging` goes to the same file."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        say = self._log.failure if record.levelno >= logging.ERROR else self._log.warning
        say(self.format(record))
