"""Registries on loopback, in the network namespace of the engine under test, which has the plain one as its mirror of docker.io."""
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.engine import REGISTRY, START_S, Engine
from tests.support.waiting import wait_until

CLOSED = "127.0.0.1:5001"  # over TLS, for USER alone
STRICT = "10.99.0.1:5002"  # not on loopback, where engines take any certificate
UNKNOWN = "10.99.0.1:5003"
USER, PASSWORD = "user", "word"
HTPASSWD = "$2b$05$abcdefghijklmnopqrstuuQDoL5Sa/TtfS/XN4AY/jgq.HBbO1BTu"  # bcrypt of PASSWORD


class Registry:
    """Debian's docker-registry. Images pushed to the plain one as `REGISTRY/library/x:t` are pulled as `x:t`.

    address: of another one, over TLS; closed: for USER alone; trusted: by an authority that the engine knows. It reads them once, when it
    first asks over TLS.
    """

    def __init__(self, engine: Engine, directory: Path, address: str = REGISTRY, *, closed: bool = False, trusted: bool = False) -> None:
        self._engine, self._directory, self._closed, self._trusted = engine, directory, closed, trusted
        self.address = address
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "config.yml"
        access = self._access() if self._closed else ""
        tls = "" if self.address == REGISTRY else self._tls()
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self._directory}/data}}}}\n"
                          f"{access}http: {{addr: '{self.address}'{tls}}}\n")
        with (self._directory / "log").open("ab") as log:
            command = [*self._engine.network(), "docker-registry", "serve", str(config)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        listening = f":{int(self.address.rpartition(':')[2]):04X} 00000000:0000 0A"
        wait_until(lambda: listening in self._engine.inside_network("cat", "/proc/self/net/tcp").out, "it listens", START_S)

    def _access(self) -> str:
        (self._directory / "htpasswd").write_text(f"{USER}:{HTPASSWD}\n")
        return f"auth: {{htpasswd: {{realm: tests, path: {self._directory}/htpasswd}}}}\n"

    def _tls(self) -> str:
        """Of an authority that nobody knows but the engine, if it is to: on loopback engines take any."""
        key, certificate = self._directory / "key.pem", self._directory / "certificate.pem"
        host = self.address.rpartition(":")[0]
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
                 "-addext", f"subjectAltName=IP:{host}"]
        subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        if self._trusted:
            self._engine.authorities.mkdir(exist_ok=True)
            shutil.copy(certificate, self._engine.authorities)
        return f", tls: {{certificate: {certificate}, key: {key}}}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(START_S)
            self._process = None

    def push(self, local: str, name: str) -> str:
        """Publishes a local image ("library/x:t" of the plain registry is docker.io's x:t); the digest that is served for it."""
        self._engine.docker("tag", local, f"{self.address}/{name}").ok()
        pushed = self._engine.docker("push", f"{self.address}/{name}").ok().out
        self._engine.docker("rmi", f"{self.address}/{name}").ok()
        return next(word for word in pushed.split() if word.startswith("sha256:"))
