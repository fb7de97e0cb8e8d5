"""Requests made to be read in two ways, each against the real engine behind the relay: attacks M01 to M13, acceptance 32 to 37.

The engine writes an event for whatever it does, so that a request which should have done nothing is known by them. "image tag" is denied;
SMUGGLED is what gets a tag if one of its requests reaches the engine all the same.
"""
import base64
import gzip
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.engine import Engine
from tests.support.gateway import Gateway, exchanged, request

pytestmark = pytest.mark.requires("root", "docker", "busybox", "runc", "seccomp_notify", "fuse")

DENIED = {"type": "deny", "commands": ["tag", "push"]}
SMUGGLED = request("POST", "/v1.41/images/box/tag?repo=smuggled&tag=1", b"", b"Content-Length: 0")
CREATE = "/v1.41/containers/create"
LIMIT = 65536


def happened(engine: Engine, since: float) -> list[str]:
    """What the engine says that it has done."""
    answer = exchanged(engine.socket, request("GET", f"/v1.41/events?since={since:.9f}&until={time.time():.9f}"))
    body = answer.partition(b"\r\n\r\n")[2]
    return [line.decode() for line in body.split(b"\r\n") if line.startswith(b"{")]


@pytest.fixture(scope="module")
def hostile(relaying: Gateway) -> Gateway:
    relaying.permit(commandList=DENIED, maxBodyBytes=LIMIT)
    return relaying


@pytest.fixture
def nothing(hostile: Gateway) -> Iterator[Gateway]:
    """The relay, before an engine that has done nothing when the test is over."""
    hostile.permit(commandList=DENIED, maxBodyBytes=LIMIT)
    since = time.time()
    yield hostile
    assert happened(hostile.engine, since) == []


def statuses(answer: bytes) -> list[int]:
    """Of all answers that came on a connection."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z\r]", answer)]


def test_the_events_would_tell(hostile: Gateway) -> None:
    """The oracle of this file: the engine itself does what the relay refuses, and says so."""
    since = time.time()
    assert statuses(exchanged(hostile.engine.socket, SMUGGLED)) == [201]
    assert "smuggled" in happened(hostile.engine, since)[0]
    hostile.engine.docker("rmi", "smuggled:1").ok()


@pytest.mark.parametrize(("target", "status"), [
    ("/v1.41/images/box/tag", 403), ("/images/box/tag", 403), ("/v1.24/images/box/tag", 403), ("/v1.41/images/box/%74ag", 403),
    ("/v1.41/%69mages/b%6fx/tag", 403), ("/v1.41/images/box/TAG", 404), ("/v1.41/Images/box/tag", 404), ("/v1.041/images/box/tag", 400),
    ("/v01.41/images/box/tag", 400), ("/v1.41./images/box/tag", 400), ("/v%31.41/images/box/tag", 400), ("/v1.41.0/images/box/tag", 400),
    ("/V1.41/images/box/tag", 404), ("/v1.41/v1.41/images/box/tag", 400), ("/v1.23/images/box/tag", 400), ("/v1.57/images/box/tag", 400),
    ("//images/box/tag", 400), ("/v1.41//images/box/tag", 400), ("/v1.41/images/box//tag", 400), ("/v1.41/./images/box/tag", 400),
    ("/v1.41/x/../images/box/tag", 400), ("/v1.41/images/x/../box/tag", 400), ("/v1.41/images/%2e%2e/images/box/tag", 400),
    ("/v1.41/images/box%2ftag", 400), ("/v1.41/images%2Fbox/tag", 400), ("/v1.41/images/box/tag%00", 400), ("/v1.41/images/box/tag;x", 400),
    ("/v1.41/images/box/tag/", 400), ("/v1.41/images/box/tag%20", 400), ("/v1.41/images/box/ta%2567", 400), ("/v1.41/images/box/tag%", 400),
    ("/v1.41/images/box\\tag", 400), ("/v1.41/images/box/t\u0430g", 400), ("/v1.41/images/box/tag#", 400),
    ("/v1.41/images/box/tag%23", 400),
    ("http://docker/v1.41/images/box/tag", 400), ("//docker/v1.41/images/box/tag", 400), ("docker:2375", 400), ("*", 400),
    ("images/box/tag", 400), ("/v1.41/images/json/../box/tag", 400), ("/v1.41/images/box/json%2f..%2ftag", 400),
])  # fmt: skip
def test_m04_32_a_denied_command_in_every_spelling(nothing: Gateway, target: str, status: int) -> None:
    raw = request("POST", "@", b"", b"Content-Length: 0").replace(b"@", f"{target}?repo=smuggled".encode(), 1)
    answer = nothing.bytes(raw)
    assert statuses(answer) == [status], answer


@pytest.mark.parametrize("query", ["repo=smuggled&repo=x", "repo=smuggled;tag=1", "repo=smuggled&&tag=1", "=&repo=smuggled", "repo=%zz",
                                   "repo=%ff", "repo=smuggled%00", "repo=smuggled&%72epo=x"])  # fmt: skip
def test_a_query_that_two_servers_read_in_two_ways(nothing: Gateway, query: str) -> None:
    nothing.permit()
    assert statuses(nothing.bytes(request("POST", f"/images/box/tag?{query}", b"", b"Content-Length: 0"))) == [400]


@pytest.mark.parametrize(("first", "status"), [
    (b"post /v1.41/images/box/tag?repo=smuggled HTTP/1.1", 400), (b"PUT /v1.41/images/box/tag?repo=smuggled HTTP/1.1", 404),
    (b"POST /v1.41/images/box/tag?repo=smuggled HTTP/1.0", 400), (b"POST /v1.41/images/box/tag?repo=smuggled HTTP/2.0", 400),
    (b"POST  /v1.41/images/box/tag?repo=smuggled HTTP/1.1", 400), (b"POST\t/v1.41/images/box/tag?repo=smuggled HTTP/1.1", 400),
    (b"POST /v1.41/images/box/tag?repo=smuggled", 400), (b" POST /v1.41/images/box/tag?repo=smuggled HTTP/1.1", 400),
    (b"POST /v1.41/images/box/tag?repo=smuggled HTTP/1.1 ", 400), (b"OPTIONS /v1.41/info HTTP/1.1", 404), (b"TRACE /info HTTP/1.1", 404),
    (b"CONNECT docker:80 HTTP/1.1", 400), (b"PATCH /v1.41/containers/create HTTP/1.1", 404), (b"OPTIONS * HTTP/1.1", 400),
    (b"PRI * HTTP/2.0", 400), (b"\x16\x03\x01\x02\x00\x01\x00", 400), (b"HEAD /v1.41/info HTTP/1.1", 404),
])  # fmt: skip
def test_m11_first_lines(nothing: Gateway, first: bytes, status: int) -> None:
    answer = nothing.bytes(first + b"\r\nHost: d\r\nConnection: close\r\nX-HTTP-Method-Override: POST\r\n\r\n")
    assert statuses(answer) == [status], answer


def framed(*headers: bytes, body: bytes = b"", target: str = "/v1.41/auth") -> bytes:
    """A request that is denied nothing, with SMUGGLED where a lenient reader sees a second one."""
    first = (b"POST %s HTTP/1.1" % target.encode(), b"Host: d", b"Content-Type: application/json")
    return b"\r\n".join((*first, *headers, b"", body)) + SMUGGLED


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("raw", [
    framed(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"), framed(CHUNKED, b"Content-Length: 0", body=b"0\r\n\r\n"),
    framed(b"Content-Length: 0", b"Content-Length: 200"), framed(b"Content-Length: 0, 0"),
    framed(b"Content-Length: 0", b"Content-Length: 0"),
    framed(b"Content-Length: -1"), framed(b"Content-Length: +0"), framed(b"Content-Length: 0x0"), framed(b"Content-Length: 1e2"),
    framed(b"Content-Length: \x0b0"), framed(b"Content-Length : 0"), framed(b"Content-Length: 99999999999999999999"),
    framed(b"Transfer-Encoding: xchunked"), framed(b"Transfer-Encoding: chunked, identity"), framed(b"Transfer-Encoding: identity"),
    framed(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), framed(b"Transfer-Encoding:\x0bchunked"), framed(b"Transfer-Encoding : chunked"),
    framed(b"Transfer-Encoding: chunked;x", body=b"0\r\n\r\n"), framed(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    framed(b"X: y\r\n Transfer-Encoding: chunked"), framed(b"X: y\nTransfer-Encoding: chunked"),
    framed(b"X: y\rTransfer-Encoding: chunked"),
    framed(b"X: y\x00"), framed(b": y"), framed(b"X Y: z"), framed(b"Host: other"),
    framed(CHUNKED, body=b"+0\r\n\r\n"), framed(CHUNKED, body=b"0x0\r\n\r\n"), framed(CHUNKED, body=b"-1\r\n\r\n"),
    framed(CHUNKED, body=b"0\n\n"), framed(CHUNKED, body=b"1\r\n{}\r\n0\r\n\r\n"), framed(CHUNKED, body=b"2\r\n{}0\r\n\r\n"),
    framed(CHUNKED, body=b"2;x\ny\r\n{}\r\n0\r\n\r\n"), framed(CHUNKED, body=b"10000000000000000\r\n"),
    framed(CHUNKED, body=b"\r\n0\r\n\r\n"),
    framed(CHUNKED, body=b"0\r\nX: y\nZ: a\r\n\r\n"), framed(CHUNKED, body=b"0\r\n X\r\n\r\n"),
])  # fmt: skip
def test_m05_framing_that_two_servers_read_in_two_ways(nothing: Gateway, raw: bytes) -> None:
    """One answer, 400, and nothing behind it is read."""
    answer = nothing.bytes(raw)
    assert statuses(answer) == [400], answer


@pytest.mark.parametrize("raw", [
    framed(b"Content-Length: 2", body=b"{}"), framed(CHUNKED, body=b"2;name=value\r\n{}\r\n0\r\nTrailer: x\r\n\r\n"),
    framed(b"Content-Length: 0", target="/v1.41/images/none/push"), b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" + SMUGGLED,
    framed(b"Expect: 100-continue", b"Content-Length: 2", body=b"{}"),
])  # fmt: skip
def test_what_is_pipelined_is_judged(nothing: Gateway, raw: bytes) -> None:
    """A second request behind a good one is a request like any other."""
    answer = nothing.bytes(raw)
    assert [status for status in statuses(answer) if status != 100][-1] == 403, answer
    assert b"image/" not in answer


@pytest.mark.parametrize(("target", "length"), [
    ("/v1.41/info", 4000), ("/v1.41/containers/json", 10), ("/v1.41/containers/none/start", 30)])  # fmt: skip
def test_a_body_where_none_belongs(nothing: Gateway, target: str, length: int) -> None:
    method = "POST" if target.endswith("start") else "GET"
    answer = nothing.bytes(request(method, target, b"", b"Content-Length: %d" % length, b"Content-Type: application/json") + b"x" * length)
    assert statuses(answer) in ([400], [404]), answer


def upgrade(target: str, *headers: bytes, method: str = "POST", body: bytes = b"") -> bytes:
    lines = (f"{method} {target} HTTP/1.1".encode(), b"Host: d", b"Connection: Upgrade", *headers, b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


H2C = (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
WEBSOCKET = (b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(("raw", "status"), [
    (upgrade("/v1.41/containers/none/attach?stream=1", b"Upgrade: tcp"), 404),
    (upgrade("/v1.41/containers/none/attach/ws", *WEBSOCKET, method="GET"), 404),
    (upgrade("/v1.41/exec/none/start", b"Upgrade: tcp", b"Content-Type: application/json", body=b"{}"), 404),
    (upgrade("/session", *H2C), 403), (upgrade("/grpc", *H2C), 403), (upgrade("/v1.41/containers/none/attach", *H2C), 404),
    (upgrade("/v1.41/info", *H2C, method="GET"), 200), (upgrade("/v1.41/info", b"Upgrade: tcp", method="GET"), 200),
    (upgrade("/v1.41/events?until=1", b"Upgrade: tcp", method="GET"), 200), (PREFACE, 400),
])  # fmt: skip
def test_m08_33_nothing_behind_an_upgrade_that_was_none(nothing: Gateway, raw: bytes, status: int) -> None:
    answer = nothing.bytes(raw + SMUGGLED)
    found = statuses(answer)
    assert found[0] == status, answer
    assert found[1:] in ([], [403]), answer


def test_m08_a_stream_leads_to_its_exec_alone(gateway: Gateway, sleeper: str) -> None:
    """What looks like a request in it is what the program reads; its half-close is passed on."""
    gateway.permit(commandList=DENIED)
    status, made = gateway.post(f"/containers/{sleeper}/exec", {"AttachStdin": True, "AttachStdout": True, "Cmd": ["cat"]})
    assert status == 201
    since = time.time()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(gateway.socket))
        body = b'{"Detach":false,"Tty":false}'
        head = (b"Upgrade: tcp", b"Content-Type: application/json")
        connection.sendall(upgrade(f"/v1.41/exec/{made['Id']}/start", *head, body=body) + SMUGGLED)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert SMUGGLED in answer
    assert not any("smuggled" in event for event in happened(gateway.engine, since))


NAMED = '{"Image":"box","HostConfig":%s}'


@pytest.mark.parametrize("host_config", [
    '{"binds":["/:/x"]}', '{"BINDS":["/:/x"]}', '{"Bind\u017f":["/:/x"]}', '{"\\u0062inds":["/:/x"]}', '{"Networ\u212aMode":"host"}',
    '{"Binds":[],"binds":["/:/x"]}', '{"binds":["/:/x"],"Binds":[]}', '{"Binds":["/:/x"],"Binds":null}',
    '{"Binds":null,"Bind\u017f":["/:/x"]}',
    '{"PidMode":"","pidmode":"host"}', '{"Mounts":[{"Type":"tmpfs","type":"bind","Target":"/x","source":"/"}]}',
    '{"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"options":{"type":"none"}}},"Target":"/x"}]}', '{"privileged":true}',
    '{"Binds":["/:/x"]},"HostConfig":{}', '{},"HostConfig":{"Binds":["/:/x"]}', '{},"hostconfig":{"Binds":["/:/x"]}',
    '{},"Ho\u017ftConfig":{"Binds":["/:/x"]}', '{"a":' * 70 + "1" + "}" * 70, '{"Memory":1e999}', '{"Memory":Infinity}', '{"Memory":-NaN}',
    '{"Binds":{"0":"/:/x"}}', '{"Binds":"/:/x"}', "[]", '"x"', '{"Mounts":{}}', "{} } {", '{"Labels":1',
])  # fmt: skip
def test_m03_34_json_that_two_parsers_read_in_two_ways(nothing: Gateway, host_config: str) -> None:
    status, answer = nothing.post(CREATE, (NAMED % host_config).encode())
    assert status == 400, answer


BODY = json.dumps({"Image": "box"}).encode()


@pytest.mark.parametrize(("media", "body", "status"), [
    ("application/json; charset=utf-16", BODY.decode().encode("utf-16"), 415), ("application/json; charset=utf-7", BODY, 415),
    ("text/plain", BODY, 415), ("application/x-www-form-urlencoded", b"fromImage=box", 415),
    ("multipart/form-data; boundary=x", b"--x--", 415),
    ("", BODY, 415), ("application/jsonx", BODY, 415), ("application/json", BODY.decode().encode("utf-16"), 400),
    ("application/json", b"\xef\xbb\xbf" + BODY, 400), ("application/json", BODY + b"{}", 400), ("application/json", BODY + b"\x00", 400),
    ("application/json", b"\xff" + BODY, 400), ("application/json\r\nContent-Encoding: gzip", gzip.compress(BODY), 415),
    ("application/json\r\nContent-Type: text/plain", BODY, 400), ("application/json", b"{" * 1000, 400),
    ("application/json", b"[" * 60000, 400),
    ("application/json", b'{"Image":"' + b"x" * LIMIT + b'"}', 413),
])  # fmt: skip
def test_m06_36_bodies_that_nobody_here_reads(nothing: Gateway, media: str, body: bytes, status: int) -> None:
    kind = [b"Content-Type: " + media.encode()] if media else []
    raw = b"\r\n".join((f"POST {CREATE} HTTP/1.1".encode(), b"Host: d", *kind, b"Content-Length: %d" % len(body), b"", b"")) + body
    assert statuses(nothing.bytes(raw)) == [status]
    chunked = b"\r\n".join((f"POST {CREATE} HTTP/1.1".encode(), b"Host: d", *kind, CHUNKED, b"", b""))
    assert statuses(nothing.bytes(chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))) == [status]


@pytest.mark.parametrize(("target", "content"), [("/v1.41/build", b"form=x"), ("/v1.41/images/create?fromImage=box", b"tag=x")])
def test_a_form_that_would_override_the_query(nothing: Gateway, target: str, content: bytes) -> None:
    nothing.permit(builds=True)
    headers = (b"Content-Type: application/x-www-form-urlencoded", b"Content-Length: %d" % len(content))
    assert statuses(nothing.bytes(request("POST", target, b"", *headers) + content)) == [415]


def test_m06_a_body_of_the_limit_is_read(gateway: Gateway) -> None:
    """One byte below is judged and passes; with one more it is 413, whatever the framing, and nothing is made."""
    gateway.permit(maxBodyBytes=LIMIT)
    for size, status in ((LIMIT, 201), (LIMIT + 1, 413)):
        body = BODY + b" " * (size - len(BODY))
        assert gateway.post(CREATE, body)[0] == status


@pytest.mark.parametrize("raw", [
    request("GET", "/v1.41/info", b"", b"X: " + b"y" * 70000), request("GET", "/v1.41/info?x=" + "y" * 20000),
    request("GET", "/v1.41/info", b"", *[b"X-%d: y" % number for number in range(9000)]), b"GET /" + b"x" * 100000, b"\r\n" * 40000,
    b"GET /v1.41/info HTTP/1.1\r\nHost: d\r\n" + b"X: y\r\n" * 20000,
])  # fmt: skip
def test_heads_without_end(nothing: Gateway, raw: bytes) -> None:
    assert statuses(nothing.bytes(raw)) == [400]


@pytest.mark.parametrize("host_config", [
    {"Binds": ["/proc/1/root:/x"]}, {"Binds": ["/x/../etc:/x"]}, {"Binds": ["/proc/self/fd/3:/x"]}, {"PidMode": "host"},
    {"IpcMode": "host"},
    {"Mounts": [{"Type": "bind", "Source": "/proc/1/root/run", "Target": "/x"}]}, {"UTSMode": "host"}, {"CgroupnsMode": "host"},
    {"Mounts": [{"Type": "cluster", "Source": "x", "Target": "/x"}]}, {"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/x"}]},
    {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {
        "type": "none", "o": "bind", "device": "/etc"}}}}]},
    {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]},
    {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "../.."}}]}, {"VolumeDriver": "nfs"},
    {"NetworkMode": "host"}, {"NetworkMode": "ns:/proc/1/ns/net"}, {"PidMode": "container:"}, {"NetworkMode": "container:../x"},
    {"VolumesFrom": ["a/b"]}, {"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, {"LogConfig": {"Type": "fluentd"}},
    {"OomScoreAdj": -1000}, {"Annotations": {"eci.mode": "system"}},
])  # fmt: skip
def test_m01_what_would_carry_a_bind_or_a_right(nothing: Gateway, host_config: dict[str, object]) -> None:
    status, answer = nothing.post(CREATE, {"Image": "box", "HostConfig": host_config})
    assert (status, "enhanced container isolation: docker socket: " in str(answer["message"])) == (403, True), answer


@pytest.mark.parametrize(("target", "body"), [
    ("/v1.41/volumes/create", {"Name": "v", "DriverOpts": {"type": "none", "o": "bind", "device": "/etc"}}),
    ("/v1.41/volumes/create", {"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "/dev/vda"}}),
    ("/v1.41/volumes/create", {"Name": "v", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,bind"}}),
    ("/v1.41/volumes/create", {"Name": "v", "Driver": "vieux/sshfs"}), ("/v1.41/networks/create", {"Name": "n", "Driver": "macvlan"}),
    ("/v1.41/networks/create", {"Name": "n", "Options": {"com.docker.network.bridge.name": "docker0"}}),
    ("/v1.41/networks/create", {"Name": "n", "Options": {"parent": "eth0"}}), ("/v1.41/networks/create", {"Name": "n", "ConfigOnly": True}),
    ("/v1.41/services/create", {"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}}}),
    ("/v1.41/plugins/x/set", ["a=b"]), ("/v1.41/plugins/pull?remote=x", []), ("/v1.41/swarm/init", {}), ("/v1.41/secrets/create", {}),
    ("/v1.41/configs/create", {}), ("/v1.41/nodes/x/update", {}), ("/v1.41/session", {}),
])  # fmt: skip
def test_m01_m13_other_endpoints(nothing: Gateway, target: str, body: object) -> None:
    assert nothing.post(target, body)[0] == 403


@pytest.mark.parametrize("target", [
    "/v1.41/build?networkmode=host", "/v1.41/build?networkmode=container:x", "/v1.41/build?cgroupparent=/x", "/v1.41/build?remote=http://x/",
    "/v1.41/images/create?fromSrc=http://x/y", "/v1.41/containers/x/start?checkpoint=c", "/v1.41/containers/x/start?checkpoint-dir=/tmp",
])  # fmt: skip
def test_queries_that_reach_further(nothing: Gateway, target: str) -> None:
    nothing.permit(builds=True)
    assert statuses(nothing.bytes(request("POST", target, b"", b"Content-Length: 0"))) == [403]


@pytest.mark.parametrize("arguments", ["-eo pid,args", "-o pid; id", "-C /x", "aux -o lstart", "--ppid 1", "-o ../x"])
def test_arguments_of_the_hosts_ps(nothing: Gateway, arguments: str) -> None:
    assert statuses(nothing.bytes(request("GET", f"/v1.41/containers/x/top?ps_args={quote(arguments)}"))) == [403]


def test_37_a_start_with_a_body_of_old(gateway: Gateway) -> None:
    """Engines up to 24 take a HostConfig with the start of an API below 1.24."""
    made = gateway.post(CREATE, {"Image": "box", "Cmd": ["true"]})[1]["Id"]
    for version in ("v1.23", "v1.24", "v1.41"):
        assert gateway.post(f"/{version}/containers/{made}/start", {"Binds": ["/etc:/x"], "Privileged": True})[0] == 400
    assert gateway.engine.docker("inspect", "--format={{.State.Status}}", str(made)).ok().out == "created\n"


def test_m01_a_volume_that_is_a_bind_already(gateway: Gateway) -> None:
    """By name, whose options were somebody else's: the runtime judges what it is."""
    gateway.engine.docker("volume", "create", "--opt=type=none", "--opt=o=bind", "--opt=device=/etc/docker", "old").ok()
    try:
        done = gateway.docker("run", "--rm", "-v", "old:/x", "box", "true")
        assert done.status == 125
        assert "configured as a restricted host mount" in done.err
    finally:
        gateway.engine.docker("volume", "rm", "-f", "old").ok()


@pytest.mark.parametrize("source", [
    "{socket}", "{directory}/soft.sock", "{directory}", "/", "/run", "/var/run", "/etc", "/proc", "/sys/kernel"])  # fmt: skip
def test_m02_sources_of_the_host(gateway: Gateway, source: str) -> None:
    """The relay knows only their names: what they are is judged when the container is made."""
    soft = Path(gateway.engine.directory, "soft.sock")
    soft.symlink_to(gateway.engine.socket)
    path = source.format(socket=gateway.engine.socket, directory=gateway.engine.directory)
    done = gateway.docker("run", "--rm", "-v", f"{path}:/x:ro", "box", "true")
    soft.unlink()
    assert done.status == 125, done
    assert "restricted host mount" in done.err or "docker socket mount denied" in done.err, done


def test_links_and_networks_of_others(gateway: Gateway) -> None:
    """The host's network by NetworkingConfig, which the engine takes for none, and networks of containers of another runtime."""
    show = ["readlink", "/proc/self/ns/net"]
    status, answer = gateway.post(CREATE, {"Image": "box", "Cmd": show, "NetworkingConfig": {"EndpointsConfig": {"host": {}}}})
    if status == 201:
        done = gateway.docker("start", "--attach", str(answer["Id"]))
        assert done.status != 0 or done.out.strip() != gateway.engine.inside_network(*show).out.strip()
    other = gateway.engine.detached("--runtime=runc", "box", "sleep", "1000")
    assert gateway.post("/v1.41/networks/bridge/disconnect", {"Container": other, "Force": True})[0] == 403
    assert gateway.post("/v1.41/networks/bridge/connect", {"Container": other[:12]})[0] == 403


def test_a_name_that_is_nobodys_goes_no_further(gateway: Gateway) -> None:
    """Not as a name, which might be somebody's a moment later: the answer is the engine's own to the relay's question."""
    for method, target in (("POST", "/v1.41/containers/none/kill"), ("DELETE", "/v1.41/containers/none"),
                           ("POST", "/v1.41/commit?container=none"), ("POST", "/v1.41/exec/none/resize?h=1&w=1")):  # fmt: skip
        answer = gateway.bytes(request(method, target, b"", b"Content-Length: 0"))
        assert statuses(answer) == [404], answer
        assert b"No such" in answer
        assert b"X-ECI-Code" not in answer.title()


def test_credentials_are_never_recorded(gateway: Gateway) -> None:
    secret = base64.urlsafe_b64encode(b'{"username":"u","password":"hush-hush"}')
    gateway.permit(commandList=DENIED)
    gateway.bytes(request("POST", "/v1.41/images/box/push", b"", b"X-Registry-Auth: " + secret, b"Content-Length: 0"))
    gateway.post("/v1.41/auth", {"username": "u", "password": "hush-hush"})
    recorded = (gateway.audit / "audit.jsonl").read_bytes()
    assert secret not in recorded
    assert b"hush-hush" not in recorded
