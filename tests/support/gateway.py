"""`eci gateway` before an engine of the tests, and how to talk to it: with the docker CLI, and with bytes."""
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.driver import ECI, Result
from tests.support.engine import COMMAND_S, Engine
from tests.support.waiting import wait_until

ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """directory: everything of it; pid: 0 before it runs."""

    engine: Engine
    directory: Path
    pid: int = 0

    @property
    def socket(self) -> Path:
        return self.directory / "gateway.sock"

    @property
    def settings(self) -> Path:
        return self.directory / "settings.json"

    @property
    def audit(self) -> Path:
        return self.directory / "audit"

    @property
    def state_dir(self) -> Path:
        return self.directory / "s"

    def docker(self, *args: str, stdin: str = "", deadline_s: float = COMMAND_S) -> Result:
        command = ["docker", f"--host=unix://{self.socket}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=deadline_s, check=False,
                              env=self.engine.environment())  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def permit(self, **socket_rules: object) -> None:
        """Writes the settings: the global command list, and the section eci.dockerSocket."""
        commands = socket_rules.pop("commandList", {"type": "deny", "commands": []})
        value = socket_rules.pop("value", True)
        self.settings.write_text(json.dumps({
            "enhancedContainerIsolation": {"value": value, "dockerSocketMount": {"imageList": {"images": []}, "commandList": commands}},
            "eci": {"dockerSocket": {"engine": str(self.engine.socket), **socket_rules}}}, indent=1))  # fmt: skip

    def bytes(self, request: bytes) -> bytes:
        """All that is answered to `request` until the relay closes the connection."""
        return exchanged(self.socket, request)

    def post(self, target: str, body: object) -> tuple[int, dict[str, object]]:
        """Status and JSON of the answer to a body, which is bytes or becomes JSON."""
        answer = self.bytes(request("POST", target, body if isinstance(body, bytes) else json.dumps(body).encode()))
        head, _, tail = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(tail) if tail.startswith(b"{") else {}

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.audit / "audit.jsonl").read_text().splitlines()]


def exchanged(path: Path, request: bytes) -> bytes:
    """All that is answered to bytes on a Unix socket until the other side closes the connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(str(path))
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def request(method: str, target: str, body: bytes = b"", *headers: bytes) -> bytes:
    """A request whose answer ends with the connection."""
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: docker", b"Connection: close", *headers]
    if body:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def served(engine: Engine, directory: Path) -> Iterator[Gateway]:
    """A gateway in a new directory; at its end it has said nothing, and left no socket."""
    directory.mkdir()
    gateway = Gateway(engine, directory)
    gateway.permit()
    with (directory / "log").open("wb") as log:
        command = [str(ECI), "gateway", f"--listen=unix://{gateway.socket}", f"--settings={gateway.settings}",
                   f"--state-dir={gateway.state_dir}", f"--audit-dir={gateway.audit}"]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            try:
                wait_until(lambda: gateway.socket.exists() or process.poll() is not None, "the gateway listens")
                yield replace(gateway, pid=process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(10)
    assert (directory / "log").read_text() == "", (directory / "log").read_text()
    assert not gateway.socket.exists()
