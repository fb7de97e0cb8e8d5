"""The relay's fuzzer: requests of tests/fuzz/requests.py, and what the engine says that it has done, against what the policy allows.

The engine's events tell every effect, and what was made is looked at: a request that the relay allowed and the engine understood
otherwise shows as an effect that no allowed request has.
"""
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.fuzz import requests
from tests.support.driver import REPOSITORY
from tests.support.engine import Engine
from tests.support.gateway import Gateway, exchanged, request

COVERED: Final = (*(REPOSITORY / "eci_supervisor/docker").glob("*.py"), REPOSITORY / "tests/fuzz/requests.py",
                  REPOSITORY / "tests/support/relay_fuzzing.py")
BATCH: Final = 25
PATIENCE_S: Final = 0.5  # then the client's half is closed: the relay waits for the rest of a body
ANSWER_S: Final = 20.0
READS_OF_THEIRS: Final = frozenset({"archive-path", "export", "top"})
ON_OURS: Final = frozenset({"create", "exec_create", "exec_start", "exec_die", "update", "archive-path", "top", "export", "attach",
                            "resize"})
NAMESPACES: Final = ("PidMode", "NetworkMode", "IpcMode", "UTSMode", "UsernsMode")  # cgroups: "host" is what an engine on v1 writes itself


class Finding(Exception):
    """The engine has done what the policy does not allow; the text has the requests since it was looked at last."""


@dataclass(slots=True)
class Fuzz:
    """gateway: with requests.DENIED denied. answers: how many requests by status, 0 for none; made: things that were looked at."""

    gateway: Gateway
    seed: int
    answers: Counter[int] = field(default_factory=Counter)
    made: int = 0

    def run(self, seconds: float) -> None:
        """Raises Finding."""
        engine, random = self.gateway.engine, Random(self.seed)
        names = self._names(engine)
        end, since = time.monotonic() + seconds, time.time()
        while time.monotonic() < end:
            batch = [requests.one(random, names) for _ in range(BATCH)]
            for raw in batch:
                self.answers[status(sent(self.gateway, raw))] += 1
            until = time.time()
            findings = list(self._findings(engine, names, since, until))
            since = until
            if findings:
                raise Finding("\n".join([f"seed {self.seed}: {findings}", *map(repr, batch)]))
        assert engine.docker("inspect", "--format={{.State.Running}} {{.Name}}", names.theirs).ok().out == "true /theirs\n"

    def _names(self, engine: Engine) -> requests.Names:
        ours = engine.detached("--name=ours", "box", "sleep", "100000")
        theirs = engine.detached("--name=theirs", "--runtime=runc", "box", "sleep", "100000")
        for kind in ("volume", "network"):
            engine.docker(kind, "create", "kept").ok()
        body = b'{"Cmd":["id"]}'
        made = asked(engine, "POST", f"/containers/{theirs}/exec", body)
        return requests.Names(ours, theirs, made["Id"])

    def _findings(self, engine: Engine, names: requests.Names, since: float, until: float) -> Iterator[str]:
        for event in events(engine, since, until):
            kind, action, actor = event["Type"], event["Action"].partition(":")[0], event["Actor"]["ID"]
            if kind == "container" and actor == names.theirs:
                if action not in READS_OF_THEIRS:
                    yield f"{action} of a container of another runtime"
            elif (kind, action) in (("container", "create"), ("volume", "create"), ("network", "create")):
                self.made += 1
                yield from judged(kind, asked(engine, "GET", f"/{kind}s/{actor}" + ("/json" if kind == "container" else "")), names)
                asked(engine, "DELETE", f"/{kind}s/{actor}?force=1")
            elif kind == "container":
                if action not in ON_OURS and not (action == "destroy" and actor not in (names.ours, names.theirs)):
                    yield f"{action} of {actor[:12]}"
            elif (kind, action) not in (("network", "destroy"), ("volume", "destroy")) or actor == "kept" or self._kept_is_gone(engine):
                yield f"{kind} {action} {actor}"

    def _kept_is_gone(self, engine: Engine) -> bool:
        return engine.docker("network", "inspect", "kept").status != 0


def is_plain_volume(mount: dict[str, Any]) -> bool:
    """An empty one, of which nothing says how the driver is to mount it: what the relay does not know it leaves out."""
    driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    return mount["Type"] == "volume" and driver.get("Name", "") in ("", "local") and not driver.get("Options")


def judged(kind: str, found: dict[str, Any], names: requests.Names) -> Iterator[str]:
    """What is wrong with a thing that a request has made."""
    if set(found) == {"message"}:  # made twice, and looked at
        return
    if kind == "volume" and (found["Driver"] != "local" or (found["Options"] or {}).get("type", "tmpfs") != "tmpfs"):
        yield f"a volume {found}"
    elif kind == "network" and (found["Driver"] != "bridge" or found["Options"]):
        yield f"a network {found}"
    elif kind == "container":
        config = found["HostConfig"]
        fine = {
            "Runtime": config["Runtime"] == "eci-runc", "CgroupParent": not config["CgroupParent"],
            "OomScoreAdj": config["OomScoreAdj"] >= 0,
            "VolumeDriver": config["VolumeDriver"] in ("", "local"), "DeviceRequests": not config["DeviceRequests"],
            "LogConfig": config["LogConfig"]["Type"] in ("json-file", "local", "journald", "none"),
            "VolumesFrom": not config["VolumesFrom"],
            "Binds": not [one for one in config["Binds"] or () if ".." in one or one.startswith("/")],
            "Mounts": all(one["Type"] == "tmpfs" or is_plain_volume(one) for one in config.get("Mounts") or ()),
            "Labels": not [key for key in found["Config"]["Labels"] or () if key.lower().startswith("eci.")],
            **{key: not config[key].startswith(("host", "ns:", f"container:{names.theirs}")) for key in NAMESPACES},
        }  # fmt: skip
        yield from (f"{key} of a container: {config.get(key)}" for key, holds in fine.items() if not holds)


def sent(gateway: Gateway, raw: bytes) -> bytes:
    """What is answered on a connection of its own."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.socket))
        connection.settimeout(PATIENCE_S)
        answer = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
            try:
                while data := connection.recv(65536):
                    answer += data
            except TimeoutError:
                connection.settimeout(ANSWER_S)
                connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    answer += data
        return answer


def status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def asked(engine: Engine, method: str, target: str, body: bytes = b"") -> dict[str, Any]:
    """The engine's own JSON, {} for none."""
    raw = request(method, f"/v1.41{target}", body) if body else request(method, f"/v1.41{target}", b"", b"Content-Length: 0")
    content = exchanged(engine.socket, raw).partition(b"\r\n\r\n")[2]
    start = content.find(b"{")
    found = json.JSONDecoder().raw_decode(unchunked(content) if not content.startswith(b"{") else content.decode())[0] if start >= 0 else {}
    return dict(found)


def unchunked(content: bytes) -> str:
    whole, at = b"", 0
    while size := int(content[at : (end := content.index(b"\r\n", at))], 16):
        whole += content[end + 2 : end + 2 + size]
        at = end + 4 + size
    return whole.decode()


def events(engine: Engine, since: float, until: float) -> list[dict[str, Any]]:
    """What the engine has done between two times."""
    content = exchanged(engine.socket, request("GET", f"/v1.41/events?since={since:.9f}&until={until:.9f}")).partition(b"\r\n\r\n")[2]
    return [json.loads(line) for line in unchunked(content).splitlines()] if content else []
