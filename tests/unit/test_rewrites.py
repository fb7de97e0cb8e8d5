"""What the real runtime gets, beside what Docker 20.10 wrote: golden files under tests/data/specs.

`python -m tests.unit.test_rewrites` writes them anew; the difference is reviewed.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.plan import Plan, container_sysctls, protected
from eci_supervisor.oci.rewrite import (
    REWRITES,
    capabilities,
    cgroup_namespace,
    hook,
    ids,
    mounts,
    propagation,
    rewritten,
    time_namespace,
)
from eci_supervisor.oci.spec import Json, Mount, Spec, parse_spec

DATA = Path(__file__).parent.parent / "data/specs"
RANGE = IdRange(165_536)
CASES = [(name, mode) for name in ("docker", "docker-privileged") for mode in Mode]


def engine(name: str = "docker") -> Spec:
    return parse_spec((DATA / f"{name}.json").read_bytes())


def plan(spec: Spec, mode: Mode = Mode.ECI, joins: str = "") -> Plan:
    """As create would make it; staging has taken /proc, /sys and the volumes."""
    left = tuple(mount for mount in spec.mounts if mount.destination.startswith("/dev"))
    return Plan(
        mode=mode,
        ids=RANGE,
        joins=joins,
        rootfs="/run/eci/stage/rootfs",
        mounts=(*left, Mount("/sys", "tmpfs", "sysfs", ("ro",))),
        front="/usr/bin/eci-runc",
        control_socket="/run/eci/c/0123/control.sock",
        seccomp={"defaultAction": "SCMP_ACT_ALLOW"},
    )


def golden(name: str, mode: Mode) -> str:
    spec = engine(name)
    return json.dumps(rewritten(spec, plan(spec, mode)).raw, indent=1) + "\n"


def test_a_time_namespace_only_where_the_runtime_makes_them() -> None:
    spec = engine()
    assert time_namespace.rewrite(spec, plan(spec)) is spec
    own = time_namespace.rewrite(spec, replace(plan(spec), boot_s=4711))
    assert own.namespace("time") is not None
    assert own.get("linux", "timeOffsets") == {"boottime": {"secs": -4711, "nanosecs": 0}}
    assert time_namespace.rewrite(own, replace(plan(own), boot_s=5000)) is own  # the engine's own stays


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_as_written_down(name: str, mode: Mode) -> None:
    assert golden(name, mode) == (DATA / f"{name}.{mode.value}.json").read_text()


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_each_step_is_there_and_pure(name: str, mode: Mode) -> None:
    spec = engine(name)
    before = spec.to_bytes()
    for rewrite in REWRITES:
        once = rewrite(spec, plan(spec, mode))
        assert rewrite(spec, plan(spec, mode)) == once
    assert spec.to_bytes() == before


def test_joining_brings_path_and_maps() -> None:
    spec = engine()
    found = ids.rewrite(spec, plan(spec, joins="/proc/4711/fd/5"))
    assert [ns.path for ns in found.namespaces if ns.type == "user"] == ["/proc/4711/fd/5"]
    assert [(one.container, one.host, one.size) for one in found.id_maps("uidMappings")] == [(0, 165_536, 65536)]


def test_maps_of_the_spec_are_replaced_not_joined_by_ours() -> None:
    once = ids.rewrite(engine(), plan(engine()))
    twice = ids.rewrite(once, plan(engine()))
    assert twice == once


def test_a_cgroup_namespace_of_the_spec_stays() -> None:
    spec = engine().put("linux", "namespaces", value=[{"type": "cgroup", "path": "/proc/7/ns/cgroup"}])
    assert cgroup_namespace.rewrite(spec, plan(spec)) == spec


def test_an_unchanged_mount_keeps_what_we_do_not_know() -> None:
    raw: Json = {"destination": "/dev/x", "type": "bind", "source": "/x", "options": ["bind"], "uidMappings": [{"size": 1}]}
    spec = engine().put("mounts", value=[raw])
    assert mounts.rewrite(spec, plan(spec)).get("mounts") == [
        raw,
        {"destination": "/sys", "type": "tmpfs", "source": "sysfs", "options": ["ro"]},
    ]


def test_our_hook_runs_behind_the_engines() -> None:
    spec = engine().put("hooks", "createRuntime", value=[{"path": "/engine"}])
    found = hook.rewrite(spec, plan(spec)).get("hooks", "createRuntime")
    assert isinstance(found, list)
    assert [entry["path"] for entry in found if isinstance(entry, dict)] == ["/engine", "/usr/bin/eci-runc"]


@pytest.mark.parametrize(("given", "found"), [("rshared", "rslave"), ("shared", "slave"), ("private", "private")])
def test_no_propagation_back(given: str, found: str) -> None:
    spec = engine().put("linux", "rootfsPropagation", value=given)
    assert propagation.rewrite(spec, plan(spec)).propagation == found


def test_another_user_has_capabilities_in_the_bounding_set_alone() -> None:
    spec = engine().put("process", "user", "uid", value=1000)
    found = capabilities.rewrite(spec, plan(spec, Mode.SYSTEM))
    assert found.get("process", "capabilities", "bounding") == list(capabilities.ALL)
    assert found.get("process", "capabilities", "effective") == spec.get("process", "capabilities", "effective")


def test_capabilities_are_in_the_order_of_their_numbers() -> None:
    header = Path("/usr/include/linux/capability.h").read_text()
    numbers = {
        name: int(number)
        for name, number in (
            line.split()[1:3]
            for line in header.splitlines()
            if line.startswith("#define CAP_") and len(line.split()) == 3 and line.split()[2].isdigit()
        )
    }
    assert [numbers[name] for name in capabilities.ALL] == list(range(41))


def test_sysctls_are_clamped_to_the_map() -> None:
    sysctl = {"net.ipv4.ping_group_range": "0 2147483647", "net/ipv4/ping_group_range": "1 0", "kernel.msgmax": "8192"}
    found = container_sysctls(engine().put("linux", "sysctl", value={**sysctl}), RANGE)
    assert found == (("net.ipv4.ping_group_range", "0 65535"), ("net/ipv4/ping_group_range", "1 0"), ("kernel.msgmax", "8192"))


def test_what_the_trees_protect() -> None:
    ordinary, privileged = engine(), engine("docker-privileged")
    assert protected(ordinary, Mode.ECI).masked == ordinary.masked
    assert "/proc/sys" in protected(ordinary, Mode.ECI).read_only
    assert protected(ordinary, Mode.ECI).sysfs_read_only
    assert protected(privileged, Mode.ECI).masked == ()
    assert not protected(privileged, Mode.ECI).sysfs_read_only
    for spec in (ordinary, privileged):
        system = protected(spec, Mode.SYSTEM)
        assert "/proc/sys" not in system.read_only
        assert "/proc/bus" in system.read_only
        assert "/proc/kcore" not in system.masked
        assert "/sys/firmware" in system.masked
        assert not system.sysfs_read_only


if __name__ == "__main__":
    for case in CASES:
        (DATA / f"{case[0]}.{case[1].value}.json").write_text(golden(*case))
