"""What is refused at create: each sentence, and that what is right passes."""

import json
from collections.abc import Mapping

import pytest

from eci_supervisor.model.ids import IdRange
from eci_supervisor.oci.argv import parse
from eci_supervisor.oci.refusals import Facts, Identity, Refused, check_command, check_host, check_spec, own_maps
from eci_supervisor.oci.spec import Spec, SpecError, parse_spec

HOSTS = Identity(4, 1)
FOREIGN = Identity(4, 2)
HOST = {kind: frozenset({HOSTS}) for kind in ("pid", "ipc", "uts", "network", "cgroup", "mount", "user")}
POOL = (IdRange(100_000, 65536 * 4),)


def spec(paths: Mapping[str, str] | None = None, *, without: tuple[str, ...] = (), linux: dict[str, object] | None = None) -> Spec:
    kinds = [kind for kind in ("pid", "ipc", "uts", "network", "mount") if kind not in without] + [k for k in paths or {} if k == "cgroup"]
    namespaces = [{"type": kind, **({"path": paths[kind]} if paths and kind in paths else {})} for kind in kinds]
    return parse_spec(json.dumps({"root": {"path": "rootfs"}, "linux": {"namespaces": namespaces, **(linux or {})}}).encode())


def facts(named: Mapping[str, Identity | None] | None = None) -> Facts:
    return Facts(HOST, named or {})


def refused(checked: Spec, named: Mapping[str, Identity | None] | None = None) -> str:
    with pytest.raises(Refused) as raised:
        check_spec(checked, facts(named), POOL)
    return str(raised.value)


def test_an_ordinary_container_passes() -> None:
    check_spec(spec(), facts(), POOL)


@pytest.mark.parametrize("without", [("pid",), ("ipc",), ("uts",), ("pid", "ipc")])
def test_a_namespace_of_the_host_by_omission(without: tuple[str, ...]) -> None:
    assert refused(spec(without=without)) == (
        f"error in the container spec: invalid or unsupported container spec: eci-runc containers can't share namespaces "
        f"[{' '.join(without)}] with the host (because they use the linux user-namespace for isolation)"
    )


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts"])
def test_a_namespace_of_the_host_by_path(kind: str) -> None:
    assert f"share namespaces [{kind}] with the host" in refused(spec({kind: "/some/name"}), {kind: HOSTS})


def test_the_hosts_network_by_omission_or_path() -> None:
    """Docker's --network=host is a bind of the host's namespace under another name."""
    for checked, named in ((spec(without=("network",)), {}), (spec({"network": "/run/docker/netns/default"}), {"network": HOSTS})):
        assert "can't share a network namespace with the host" in refused(checked, named)


def test_a_cgroup_namespace_is_refused_by_path_alone() -> None:
    assert "cgroup namespace" in refused(spec({"cgroup": "/proc/1/ns/cgroup"}), {"cgroup": HOSTS})


def test_anothers_namespace_passes() -> None:
    check_spec(spec({"network": "/proc/77/ns/net"}), facts({"network": FOREIGN}), POOL)


def test_a_path_without_a_namespace() -> None:
    assert "/proc/77/ns/net is not there" in refused(spec({"network": "/proc/77/ns/net"}), {"network": None})


def test_the_mount_namespace_is_new() -> None:
    assert "new mount namespace" in refused(spec(without=("mount",)))
    assert "new mount namespace" in refused(spec({"mount": "/proc/77/ns/mnt"}), {"mount": FOREIGN})


def mapped(host: int, size: int = 65536) -> dict[str, object]:
    return {name: [{"containerID": 0, "hostID": host, "size": size}] for name in ("uidMappings", "gidMappings")}


def test_maps_of_its_own() -> None:
    assert own_maps(spec()) is None
    assert own_maps(spec(linux=mapped(1_000_000))) == IdRange(1_000_000)
    check_spec(spec(linux=mapped(1_000_000)), facts(), POOL)
    assert "host id 0" in refused(spec(linux=mapped(0)))
    assert "overlap" in refused(spec(linux=mapped(99_999, 2)))


@pytest.mark.parametrize(
    "linux",
    [
        {"uidMappings": [{"containerID": 0, "hostID": 1_000_000, "size": 9}]},
        {**mapped(1_000_000), "gidMappings": [{"containerID": 0, "hostID": 2_000_000, "size": 65536}]},
        {name: [{"containerID": 5, "hostID": 1_000_000, "size": 9}] for name in ("uidMappings", "gidMappings")},
    ],
)
def test_maps_that_are_no_plain_range(linux: dict[str, object]) -> None:
    assert "one and the same range" in refused(spec(linux=linux))


@pytest.mark.parametrize("user", [{"uid": 65536}, {"uid": 0, "gid": 4294967295}, {"uid": 0, "gid": 0, "additionalGids": [1, 100000]}])
def test_ids_above_the_range(user: dict[str, object]) -> None:
    checked = Spec({**spec().raw, "process": {"user": user}})  # type: ignore[dict-item] # a part of a config.json
    assert "65535" in refused(checked)


@pytest.mark.parametrize(
    ("uid", "uid_map", "capabilities"), [(1000, "0 0 4294967295", -1), (0, "0 100000 65536", -1), (0, "", -1), (0, "0 0 4294967295", 0)]
)
def test_only_root_of_the_host(uid: int, uid_map: str, capabilities: int) -> None:
    with pytest.raises(Refused):
        check_host(uid, uid_map, capabilities)
    check_host(0, "         0          0 4294967295\n", 0x1FFFFFFFFFF)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("create --no-pivot x", "no-pivot"),
        ("checkpoint x", "restored"),
        ("restore x", "restored"),
        ("run", "container id"),
        ("create ../x", "container id"),
        ("exec ..", "container id"),
    ],
)
def test_commands_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check_command(parse("eci-runc", text.split()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "no section linux"),
        (b'{"linux":null,"root":{"path":"r"}}', "no section linux"),
        (b'{"linux":[],"root":{"path":"r"}}', "linux"),
        (b'{"linux":{}}', "root.path"),
        (b'{"linux":{},"root":"r"}', "root"),
        (b'{"linux":{},"root":{"path":7}}', "root.path"),
        (b'{"linux":{"namespaces":{}},"root":{"path":"r"}}', "linux.namespaces"),
        (b'{"linux":{},"root":{"path":"r"},"mounts":[{}]}', "destination"),
        (b'{"linux":{"sysctl":{"a":1}},"root":{"path":"r"}}', "linux.sysctl.a"),
        (b'{"linux":{},"root":{"path":"r"},"hooks":[]}', "hooks"),
        (b'{"linux":{},"root":{"path":"r"},"process":{"user":{"uid":"0"}}}', "process.user.uid"),
    ],
)
def test_a_config_that_is_none(text: bytes, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        parse_spec(text)
