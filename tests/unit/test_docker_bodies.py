"""Heads and bodies: what is malformed, what is refused, what the engine gets."""
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker import head, scope, strict_json
from eci_supervisor.docker.bodies import Asked, BodyRefused
from eci_supervisor.docker.head import Head
from eci_supervisor.docker.requests import SCHEMAS, rebuilt
from eci_supervisor.docker.route import Route
from eci_supervisor.docker.routes import ROUTES, find
from eci_supervisor.docker.target import MalformedRequest, Target

OURS = {"mine": "f" * 64}


def create(host_config: object, asked: Asked | None = None) -> dict[str, Any]:
    return rebuilt("POST", "/containers/create", {"Image": "box", "HostConfig": host_config}, asked or Asked("eci-runc", ours=OURS))


@pytest.mark.parametrize(("asked_for", "written"), [
    (None, {}), ({}, {}), ({"Runtime": "runc"}, {}), ({"Runtime": None}, {}), ({"UsernsMode": "host"}, {}),
    ({"Privileged": True}, {"Privileged": True}), ({"NetworkMode": "container:mine"}, {"NetworkMode": "container:" + "f" * 64}),
    ({"VolumesFrom": ["mine:ro"]}, {"VolumesFrom": ["f" * 64 + ":ro"]}), ({"PidMode": ""}, {"PidMode": ""}),
    ({"Mounts": [{"Type": "tmpfs", "Target": "/t", "unheard": 1}]}, {"Mounts": [{"Type": "tmpfs", "Target": "/t"}]}),
    ({"DeviceRequests": []}, {"DeviceRequests": []}), ({"DeviceRequests": None}, {}),
])  # fmt: skip
def test_a_body_is_written_anew(asked_for: object, written: dict[str, Any]) -> None:
    assert create(asked_for)["HostConfig"] == {**written, "Runtime": "eci-runc"}


@pytest.mark.parametrize(("asked_for", "path"), [
    ({"PidMode": "host"}, "HostConfig.PidMode"),
    ({"NetworkMode": "container:theirs"}, "HostConfig.NetworkMode"), ({"NetworkMode": "ns:/proc/1/ns/net"}, "HostConfig.NetworkMode"),
    ({"VolumesFrom": ["theirs"]}, r"HostConfig.VolumesFrom\[0\]"), ({"Binds": ["/a/../etc:/x"]}, r"HostConfig.Binds\[0\]"),
    ({"Binds": ["/proc/1/root:/x"]}, r"HostConfig.Binds\[0\]"), ({"Mounts": [{"Type": "npipe"}]}, r"Mounts\[0\].Type"),
    ({"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "a/../.."}}]}, "Subpath"),
    ({"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "device": "/"}}}}]}, "Options"),
    ({"OomScoreAdj": -1}, "OomScoreAdj"), ({"OomScoreAdj": True}, "OomScoreAdj"), ({"DeviceRequests": [{}]}, "DeviceRequests"),
    ({"Annotations": {"eci.mode": "x"}}, "Annotations"), ({"LogConfig": {"Type": "syslog"}}, "LogConfig.Type"),
])  # fmt: skip
def test_what_reaches_beyond_the_container_is_refused(asked_for: object, path: str) -> None:
    with pytest.raises(BodyRefused, match=path):
        create(asked_for)


@pytest.mark.parametrize("asked_for", [
    [], "x", {"Binds": "x"}, {"binds": []}, {"PIDMODE": "host"}, {"bind\u017f": []}, {"Networ\u212aMode": ""},
    {"Mounts": [{"type": "bind"}]}, {"Binds": ["a"], "binds": ["b"]}, {"\u017fhmSize": 1, "ShmSize": 2}, {"LogConfig": 1}])
def test_what_has_another_shape_is_malformed(asked_for: object) -> None:
    with pytest.raises(MalformedRequest):
        create(asked_for)


def test_a_first_walk_finds_the_containers_that_a_body_names() -> None:
    asked = Asked("eci-runc")
    create({"NetworkMode": "container:a", "VolumesFrom": ["b:ro"], "IpcMode": "container:c"}, asked)
    assert asked.containers == {"a", "b", "c"}


def test_what_was_left_out_is_told_and_the_parent_is_written() -> None:
    asked = Asked("eci-runc", parent="p" * 64, ours={})
    made = create({"CgroupParent": "/x", "Unheard": {"deep": 1}}, asked)
    assert asked.dropped == ["HostConfig.CgroupParent", "HostConfig.Unheard"]
    assert made["Labels"] == {"eci.parent": "p" * 64}


def test_every_json_row_that_is_not_the_admins_has_a_schema() -> None:
    judged = {(route.method, route.path) for route in ROUTES if route.body.value == "json" and not set(route.letters) & set("AHN")}
    assert judged == set(SCHEMAS)
    assert all(find(method, path.replace("{id}", "x"), 56, frozenset()) for method, path in SCHEMAS)


keys = st.sampled_from(["Binds", "binds", "PidMode", "Mounts", "Type", "x", "VolumesFrom", "bind\u017f"])
json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=10)  # fmt: skip


@given(json_values)
def test_no_body_of_any_shape_is_more_than_refused(body: object) -> None:
    try:
        made = create(body)
    except (BodyRefused, MalformedRequest):
        return
    assert made["HostConfig"]["Runtime"] == "eci-runc"
    assert {strict_json.folded(key) for key in made["HostConfig"]} >= {"runtime"}
    assert set(made["HostConfig"]) <= set(SCHEMAS["POST", "/containers/create"]["HostConfig"])
    assert create(made["HostConfig"]) == made


@given(json_values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert strict_json.loads(strict_json.dumps(value)) == value


@pytest.mark.parametrize("raw", [
    b"", b"{", b'{"a":1}x', b'{"a":1,"a":1}', b"\xef\xbb\xbf{}", b"\xff", b"[" * 5000, b"NaN", b"1e999", b'"\\udc00"'])
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(MalformedRequest):
        strict_json.loads(raw)


def block(*lines: bytes) -> bytes:
    return b"\r\n".join((b"POST /x HTTP/1.1", b"Host: d", *lines)) + b"\r\n\r\n"


def test_a_head_is_read() -> None:
    assert head.parse(block(b"X-Registry-Auth: \t abc ", b"Upgrade: tcp")) == Head("POST", b"/x", (
        (b"host", b"d"), (b"x-registry-auth", b"abc"), (b"upgrade", b"tcp")))  # fmt: skip


@pytest.mark.parametrize("line", [b"Host: e", b"no colon", b": x", b" folded: x", b"name : x", b"a\x00: x", b"Content-Length: +1",
                                  b"Content-Length: 0x1", b"Content-Length: 01", b"Content-Length: ", b"Transfer-Encoding: gzip",
                                  b"Transfer-Encoding: chunked\r\nContent-Length: 1", b"a: b\rc", b"a: b\nc", b"a: \x7f"])  # fmt: skip
def test_a_head_that_is_none(line: bytes) -> None:
    with pytest.raises(MalformedRequest):
        head.parse(block(line))


def test_only_what_the_engine_needs_goes_on() -> None:
    came = head.parse(block(b"Accept: a", b"Cookie: c", b"X-HTTP-Method-Override: DELETE", b"Upgrade: h2c", b"Connection: Upgrade, X"))
    assert head.kept(came, frozenset()) == head.kept(came, row("POST", "/containers/x/attach").upgrades) == ((b"accept", b"a"),)
    assert head.kept(came, row("POST", "/session").upgrades) == ((b"accept", b"a"), (b"upgrade", b"h2c"))
    tcp = head.parse(block(b"Upgrade: TCP", b"Sec-WebSocket-Key: k"))
    assert head.kept(tcp, row("GET", "/containers/x/json").upgrades) == ()
    assert head.kept(tcp, row("POST", "/exec/x/start").upgrades) == ((b"upgrade", b"TCP"), (b"sec-websocket-key", b"k"))


def row(method: str, path: str) -> Route:
    found = find(method, path, 41, frozenset())
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("filters", "label"), [
    ("", {"eci.parent=p": True}), ('{"label":["a=b"]}', ["a=b", "eci.parent=p"]), ('{"status":["running"]}', ["eci.parent=p"]),
    ('{"label":{"a":true}}', {"a": True, "eci.parent=p": True})])  # fmt: skip
def test_own_scope_narrows_lists(filters: str, label: object) -> None:
    found = find("GET", "/containers/json", 41, frozenset())
    assert found is not None
    narrowed = scope.narrowed(found[0], Target("/containers/json", 41, (("filters", filters), ("all", "1"))), "p")
    assert json.loads(narrowed.value("filters"))["label"] == label
    assert narrowed.value("all") == "1"
