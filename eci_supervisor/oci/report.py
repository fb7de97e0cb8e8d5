"""What an engine and its user are told: one sentence on stderr, and one record in the file of --log.

Some facts about the readers: containerd's shim decodes the log as a sequence of JSON values and shows `msg` of the last of level
error, so one line of plain text hides every error; podman takes the whole file for one object; and without a log file an engine
shows nothing at all, since stderr of create is the container's own.
"""
import json
import os
import time
from dataclasses import dataclass

MAX_SENTENCE = 2000  # an engine puts it on one line of a terminal, and into its own log


@dataclass(frozen=True, slots=True)
class Reporter:
    """Tells of one command on one container; `log` is "" where the engine gave no --log."""

    command: str
    container_id: str
    log: str = ""
    json_log: bool = False

    def error(self, sentence: str) -> None:
        """The end of the command: on stderr, and in the log as its last record."""
        line = one_line(sentence)
        where = " ".join(word for word in (self.command, one_line(self.container_id)) if word)
        os.write(2, f"eci-runc: {where}: {line}\n".encode("utf-8", "replace"))
        self._record("error", line)

    def warning(self, sentence: str) -> None:
        """A promise that is weaker than the user could expect. In the log alone, if there is one: stderr is the container's."""
        line = one_line(sentence)
        if self.log:
            self._record("warning", line)
        else:
            os.write(2, f"eci-runc: {self.command} {one_line(self.container_id)}: warning: {line}\n".encode("utf-8", "replace"))

    def _record(self, level: str, line: str) -> None:
        if not self.log:
            return
        record = render_json(level, line, time.time()) if self.json_log else render_text(level, line, time.time())
        try:
            fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with open(fd, "wb", buffering=0) as file:
                file.write(record)
        except OSError as error:
            os.write(2, f"eci-runc: {one_line(self.log)}: {error.strerror}\n".encode("utf-8", "replace"))


def one_line(text: str) -> str:
    """`text` without control characters, which are escaped, and cut where a sentence should have ended."""
    if text.isascii() and text.isprintable() and len(text) <= MAX_SENTENCE:
        return text
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return clean if len(clean) <= MAX_SENTENCE else clean[:MAX_SENTENCE] + "…"


def render_json(level: str, line: str, at: float) -> bytes:
    """A record as runc's logrus writes it; ASCII, whatever the sentence holds."""
    return json.dumps({"level": level, "msg": line, "time": rfc3339(at)}, separators=(",", ":")).encode() + b"\n"


def render_text(level: str, line: str, at: float) -> bytes:
    """A record of the text format, which is runc's own default."""
    return f'time="{rfc3339(at)}" level={level} msg={json.dumps(line)}\n'.encode()


def rfc3339(at: float) -> str:
    """Seconds since 1970 as Go prints time.RFC3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
