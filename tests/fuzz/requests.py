"""Requests for the relay's fuzzer: what clients send to the Engine API, spelled otherwise, with what nobody may ask, or broken.

Each is bytes for one connection. Nothing is asked that would take long (start, pull, build) or run the engine itself.
"""
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeAlias
from urllib.parse import quote

Body: TypeAlias = "dict[str, Any] | bytes | None"
# What the command list of the run denies, and what the engine calls the effect.
DENIED: Final = ("tag", "rename", "kill", "volume rm", "network prune")
SMUGGLED: Final = b"POST /v1.41/images/box/tag?repo=smuggled HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Names:
    """What there is: containers of ours and of another runtime, an exec in the latter."""

    ours: str
    theirs: str
    exec: str


@dataclass(slots=True)
class Asked:
    """A request before it is written down."""

    method: str
    target: str
    body: Body = None
    headers: tuple[str, ...] = ()


FORBIDDEN: Final[tuple[tuple[str, Any], ...]] = (
    ("PidMode", "host"), ("NetworkMode", "host"), ("IpcMode", "host"), ("UTSMode", "host"), ("CgroupnsMode", "host"),
    ("UsernsMode", "host"),
    ("Runtime", "runc"), ("Binds", ["/proc/1/root:/x"]), ("Binds", ["/a/../etc:/x"]), ("CgroupParent", "/fuzzed"),
    ("VolumeDriver", "other"),
    ("Mounts", [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "device": "/etc"}}}}]),
    ("Mounts", [{"Type": "bind", "Source": "/proc/self/root", "Target": "/x"}]), ("LogConfig", {"Type": "syslog"}),
    ("DeviceRequests", [{"Count": -1}]), ("OomScoreAdj", -500), ("Annotations", {"eci.mode": "system"}), ("VolumesFrom", ["THEIRS"]),
    ("NetworkMode", "container:THEIRS"), ("PidMode", "container:THEIRS"), ("IpcMode", "container:THEIRS"),
)  # fmt: skip
PASSING: Final[tuple[tuple[str, Any], ...]] = (
    ("Privileged", True), ("CapAdd", ["ALL"]), ("Memory", 67108864), ("Binds", ["named:/x"]), ("Tmpfs", {"/t": ""}), ("Init", True),
    ("NetworkMode", "none"), ("NetworkMode", "container:OURS"), ("RestartPolicy", {"Name": "no"}), ("SecurityOpt", ["seccomp=unconfined"]),
    ("Mounts", [{"Type": "tmpfs", "Target": "/t"}]), ("OomScoreAdj", 5), ("ShmSize", 1048576), ("Unheard", 1),
)  # fmt: skip


def create(random: Random, names: Names) -> Asked:
    config: dict[str, Any] = {}
    for key, value in random.sample(PASSING, random.randrange(3)) + random.sample(FORBIDDEN, random.choice((0, 0, 1, 1, 2))):
        config[key] = json.loads(json.dumps(value).replace("THEIRS", names.theirs).replace("OURS", names.ours))
    body: dict[str, Any] = {"Image": "box", "Cmd": ["true"], "HostConfig": config}
    if not random.randrange(8):
        body["Labels"] = {random.choice(("eci.parent", "ECI.x", "own")): "x"}
    return Asked("POST", "/v1.41/containers/create", body)


def _of(*asked: Asked) -> Callable[[Random, Names], Asked]:
    def one(random: Random, names: Names) -> Asked:
        chosen = random.choice(asked)
        text = json.dumps(chosen.body).replace("THEIRS", names.theirs).replace("OURS", names.ours).replace("EXEC", names.exec)
        target = chosen.target.replace("THEIRS", names.theirs).replace("OURS", names.ours).replace("EXEC", names.exec)
        return Asked(chosen.method, target, json.loads(text), chosen.headers)

    return one


READS: Final = _of(*(Asked("GET", target) for target in (
    "/_ping", "/v1.41/version", "/v1.41/info", "/v1.41/containers/json?all=1", "/v1.41/containers/THEIRS/json", "/v1.41/images/json",
    "/v1.41/events?until=1", "/v1.41/volumes", "/v1.41/networks", "/v1.41/containers/OURS/top", "/v1.41/system/df")))  # fmt: skip
CLOSED: Final = _of(  # denied by the list, or reaching what is not ours, or the engine's own
    Asked("POST", "/v1.41/images/box/tag?repo=smuggled"), Asked("POST", "/v1.41/containers/OURS/rename?name=smuggled"),
    Asked("POST", "/v1.41/containers/OURS/kill?signal=CONT"), Asked("DELETE", "/v1.41/volumes/kept"),
    Asked("POST", "/v1.41/networks/prune"),
    *(Asked("POST", f"/v1.41/containers/THEIRS/{verb}") for verb in ("stop?t=0", "kill", "restart?t=0", "pause", "rename?name=x",
        "update")),
    Asked("DELETE", "/v1.41/containers/THEIRS?force=1"), Asked("POST", "/v1.41/containers/THEIRS/exec", {"Cmd": ["id"]}),
    Asked("POST", "/v1.41/containers/THEIRS/attach?stream=1", None, ("Connection: Upgrade", "Upgrade: tcp")),
    Asked("POST", "/v1.41/exec/EXEC/start", {"Detach": True}), Asked("POST", "/v1.41/commit?container=THEIRS&repo=smuggled", {}),
    Asked("PUT", "/v1.41/containers/THEIRS/archive?path=/"), Asked("POST", "/v1.41/swarm/init", {}),
    Asked("POST", "/v1.41/plugins/x/enable"),
    Asked("POST", "/v1.41/services/create", {}), Asked("GET", "/debug/vars"), Asked("POST", "/v1.41/session"),
    Asked("POST", "/v1.41/networks/bridge/disconnect", {"Container": "THEIRS", "Force": True}),
)  # fmt: skip
MADE: Final = _of(
    Asked("POST", "/v1.41/volumes/create", {"Name": "fuzzed"}), Asked("POST", "/v1.41/containers/OURS/exec", {"Cmd": ["true"]}),
    Asked("POST", "/v1.41/volumes/create", {"Name": "fuzzed2", "DriverOpts": {"type": "none", "o": "bind", "device": "/etc"}}),
    Asked("POST", "/v1.41/volumes/create", {"Name": "fuzzed3", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}}),
    Asked("POST", "/v1.41/networks/create", {"Name": "fuzzed", "Driver": "macvlan", "Options": {"parent": "lo"}}),
    Asked("POST", "/v1.41/containers/OURS/update", {"Memory": 134217728, "MemorySwap": -1}),
    Asked("POST", "/v1.24/containers/OURS/start", {"Binds": ["/etc:/x"]}),
)  # fmt: skip
KINDS: Final = (create, create, create, CLOSED, CLOSED, MADE, READS)


# Spellings of a target; the first are what a client might send.

def _escaped(random: Random, target: str) -> str:
    at = random.randrange(1, len(target))
    return target[:at] + f"%{ord(target[at]):02x}" + target[at + 1 :]


def _inserted(random: Random, target: str) -> str:
    at = random.randrange(len(target))
    piece = random.choice(("/", "/.", "/..", "//", "%2f", "%2e", "%00", ";", "\\", "%", "#", "?", "&", "v1.41/", "/x/..", "%252f",
                           "\u0131", "\t"))
    return target[:at] + piece + target[at:]


def _versioned(random: Random, target: str) -> str:
    written = random.choice(("", "/v1.24", "/v1.041", "/v01.41", "/v1.41.", "/v1.99", "/v1.41/v1.41", "/V1.41", "/v%31.41", "/v1.23"))
    return target.replace("/v1.41", written, 1)


def _cased(random: Random, target: str) -> str:
    at = random.randrange(1, len(target))
    return target[:at] + target[at:].swapcase()


def _doubled(random: Random, target: str) -> str:
    path, mark, query = target.partition("?")
    return f"{path}?{query}&{query}" if mark else f"{path}?{random.choice(('all=1&all=0', 'a=%zz', 'x;y=1', '=', 'force=1'))}"


def _absolute(random: Random, target: str) -> str:
    return random.choice(("http://d", "https://d:443", "//d", "d", "*", "")) + target


TARGETS: Final = (_escaped, _inserted, _versioned, _cased, _doubled, _absolute)


def _folded(key: str, random: Random) -> str:
    return random.choice((key.lower(), key.upper(), key.replace("s", "\u017f"), key.replace("k", "\u212a"), key.swapcase(),
                          f"{key}\x00", f" {key}"))


def serialised(random: Random, value: object) -> str:
    """JSON, some keys of it twice, otherwise spelled, or escaped."""
    if isinstance(value, dict):
        pairs = []
        for key, inner in value.items():
            text = json.dumps(key)
            if not random.randrange(30):
                text = json.dumps(_folded(key, random), ensure_ascii=random.random() < 0.5)
            if not random.randrange(30):
                text = '"' + "".join(f"\\u{ord(letter):04x}" for letter in key) + '"'
            pairs.append(f"{text}:{serialised(random, inner)}")
            if not random.randrange(40):
                other = random.choice((text, json.dumps(_folded(key, random))))
                pairs.insert(random.randrange(len(pairs) + 1), f"{other}:{random.choice(('null', '{}', '[]', serialised(random, inner)))}")
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(serialised(random, inner) for inner in value) + "]"
    return json.dumps(value)


def _framed(random: Random, body: bytes) -> tuple[list[str], bytes]:
    """Headers and the bytes behind the head."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    length = f"Content-Length: {len(body)}"
    if random.randrange(6):
        return random.choice((([length], body), (["Transfer-Encoding: chunked"], chunks)))
    return random.choice((
        ([length, "Transfer-Encoding: chunked"], chunks), (["Transfer-Encoding: chunked", "Content-Length: 0"], chunks),
        ([length, length], body), (["Content-Length: 0"], body), ([f"Content-Length: {len(body) + 9}"], body), ([], body),
        (["Transfer-Encoding: chunked"], chunks.replace(b"\r\n", b"\n", 1)), (["Transfer-Encoding: xchunked"], chunks),
        (["Transfer-Encoding: chunked"], chunks.replace(b"\r\n", b";x=y\r\n", 1)), ([f"Content-Length : {len(body)}"], body),
        (["X: y\r\n " + length], body), (["Expect: 100-continue", length], body), ([f"Content-Length: +{len(body)}"], body),
    ))  # fmt: skip


MEDIA: Final = ("application/json",) * 12 + (
    "application/json; charset=utf-8", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded",
    "application/x-tar")  # fmt: skip


def written(random: Random, asked: Asked) -> bytes:
    """One request as bytes, and at times another one behind it."""
    target = asked.target
    while random.random() < 0.35:
        target = random.choice(TARGETS)(random, target)
    body = asked.body if isinstance(asked.body, bytes) else b"" if asked.body is None else serialised(random, asked.body).encode()
    if not random.randrange(25) and body:
        body = random.choice((body + b"{}", b"\xef\xbb\xbf" + body, body[:-1], body + b" " * 70000, body.decode().encode("utf-16"),
                              body * 2))
    headers, behind = _framed(random, body) if body else (["Content-Length: 0"] if asked.method != "GET" else [], b"")
    if body:
        headers = [f"Content-Type: {random.choice(MEDIA)}", *headers]
    if not random.randrange(12):
        headers.append(random.choice(("Upgrade: h2c", "Upgrade: tcp", "Host: e", "X-HTTP-Method-Override: DELETE",
            "Connection: keep-alive, Upgrade", "X: y\nContent-Length: 3", "Content-Encoding: gzip", "TE: trailers", "X:\x00")))  # fmt: skip
    method = asked.method if random.randrange(30) else random.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "post", "TRACE"))
    lines = [f"{method} {target if random.randrange(40) else quote(target)} HTTP/1.1", "Host: d", *asked.headers, *headers]
    end = "\r\n" if random.randrange(60) else "\n"
    whole = end.join([*lines, "", ""]).encode("utf-8", "replace") + behind
    if not random.randrange(60):
        at = random.randrange(len(whole))
        whole = whole[:at] + bytes([random.randrange(256)]) + whole[at + 1 :]
    return whole + (SMUGGLED if random.randrange(4) else b"")


def one(random: Random, names: Names) -> bytes:
    return written(random, random.choice(KINDS)(random, names))
