"""What a container meets of the admin's settings: its mode, its calls, its nodes; settings that are wrong (acceptance 25, 26)."""
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support.bundle import bind
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
Write = Callable[..., None]


@pytest.fixture
def settings(runtime: Runtime) -> Iterator[Write]:
    """Writes the admin's file for the next create."""
    def write(eci: dict[str, object] | None = None, **isolation: object) -> None:
        runtime.settings.write_text(json.dumps({"enhancedContainerIsolation": {"value": True, **isolation}, "eci": eci or {}}))

    yield write
    runtime.settings.unlink()


def mode(container: Container) -> str:
    found = json.loads(container.runtime.eci("inspect", container.id, "--json").ok().out)["state"]["mode"]
    assert isinstance(found, str)
    return found


def test_the_mode_is_the_files(containers: Launch, runtime: Runtime, settings: Write) -> None:
    """The file, then the runtime's arguments, which a locked file does not heed."""
    asks = replace(runtime, mode="system")
    for eci, locked, under, expected in (
        ({"mode": "system"}, False, runtime, "system"), ({"mode": "eci"}, False, asks, "eci"), ({}, False, asks, "system"),
        ({}, True, asks, "eci"),
    ):  # fmt: skip
        settings(eci, locked=locked)
        container = containers(under=under).up()
        assert mode(container) == expected
        container.remove()


def test_calls_and_nodes(containers: Launch, settings: Write) -> None:
    settings({"syscalls": {"deny": ["sethostname"]}, "virtualNodes": {"max": {"vm/max_map_count": 300000}, "swapView": "hidden"}})
    container = containers(privileged=True).up()
    assert "not permitted" in container.sh("hostname other").err
    assert container.sh("echo 200000 > /proc/sys/vm/max_map_count && cat /proc/sys/vm/max_map_count").ok().out == "200000\n"
    assert "Invalid argument" in container.sh("echo 300001 > /proc/sys/vm/max_map_count").err
    assert re.search(r"SwapTotal: +0 kB", container.sh("cat /proc/meminfo").ok().out)


def test_a_change_holds_from_the_next_start(containers: Launch, settings: Write) -> None:
    settings({"syscalls": {"deny": ["sethostname"]}})
    before = containers(privileged=True).up()
    settings({})
    containers(privileged=True).up().sh("hostname other").ok()
    assert "not permitted" in before.sh("hostname other").err


def test_an_invalid_file_leaves_the_last_good_policy(containers: Launch, runtime: Runtime, settings: Write) -> None:
    """Said in the engine's log of each create, and once, loudly, in the audit file."""
    settings({"syscalls": {"deny": ["sethostname"]}})
    containers().up().remove()
    settings({"syscalls": {"dany": []}})
    container = containers(privileged=True).up()
    assert "not permitted" in container.sh("hostname other").err
    problem = f'{runtime.settings}: eci.syscalls.dany: there is no such setting: did you mean "deny"?; the last good policy stays'
    assert [json.loads(line)["msg"] for line in container.log.read_text().splitlines()] == [problem]
    events = [json.loads(line) for line in (runtime.audit_dir / "audit.jsonl").read_text().splitlines()]
    assert any(event["rule"] == "settings.invalid" and "eci.syscalls.dany" in event["why"] for event in events)


def test_an_invalid_file_from_the_start(containers: Launch, runtime: Runtime, settings: Write) -> None:
    """Plain containers run; what needs an exception gets the error."""
    settings(value="yes")
    for name in ("policy.bin", "policy.last"):
        (runtime.state_dir / name).unlink(missing_ok=True)
    containers().up()
    refused = containers(under=replace(runtime, mode="system"))
    result = refused.create()
    assert result.status == 1
    assert re.fullmatch(rf"eci-runc: create {refused.id}: enhanced container isolation: {runtime.settings}: "
                        r'enhancedContainerIsolation.value: "yes": use true or false; nothing that needs an exception starts until it is '
                        r"mended \[[0-9a-f]{16}\]\n", result.err)
    assert not [left for left in left_behind(runtime) if refused.id in left]


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts"])
def test_a_namespace_of_the_host_has_an_event(containers: Launch, runtime: Runtime, kind: str) -> None:
    """Acceptance 5: Docker's sentence, and what `eci explain` says of the id at its end."""
    container = containers(namespaces=tuple(name for name in ("pid", "network", "ipc", "uts", "mount") if name != kind))
    result = container.create()
    core = (f"error in the container spec: invalid or unsupported container spec: eci-runc containers can't share namespaces [{kind}] with "
            "the host (because they use the linux user-namespace for isolation)")  # fmt: skip
    match = re.fullmatch(rf"eci-runc: create {container.id}: {re.escape(core)} \[([0-9a-f]{{16}})\]\n", result.err)
    assert match
    told = json.loads(runtime.eci("explain", match[1], f"--audit-dir={runtime.audit_dir}", "--json").ok().out)
    assert (told["code"], told["container"]) == ("namespace.shared", container.id)
    assert "cannot be allowed" in told["allow"]


def test_explaining_a_path(containers: Launch, runtime: Runtime, settings: Write) -> None:
    """Which line of which file says so, and how to allow it."""
    settings({"bindMounts": {"denied": ["/srv"]}})
    result = containers(mounts=(bind("/srv", "/x"),)).create()
    told = runtime.eci("explain", result.err.rpartition("[")[2].rstrip("]\n"), f"--audit-dir={runtime.audit_dir}").ok().out
    assert f"{runtime.settings}:1" in told
    assert "eci.bindMounts.denied[0]" in told


def test_devices_are_said_to_be_powerless(containers: Launch) -> None:
    node = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o660, "uid": 0, "gid": 0}
    container = containers(linux={"devices": [node]}).up()
    assert "device /dev/kmsg: visible in the container with the owner that the host gave" in container.log.read_text()


def test_the_choice_of_a_user(runtime: Runtime, settings: Write) -> None:
    """Heeded unless the file is locked; which says so, with its line."""
    def status() -> dict[str, object]:
        found = json.loads(runtime.eci("status", f"--settings={runtime.settings}", "--json").ok().out)
        assert isinstance(found, dict)
        return found

    settings({})
    assert (status()["enabled"], status()["source"]) == (True, f"{runtime.settings}:1")
    runtime.eci("disable", f"--settings={runtime.settings}").ok()
    assert (status()["enabled"], status()["source"]) == (False, "the user's choice (eci enable, eci disable)")
    settings({}, locked=True)
    refused = runtime.eci("enable", f"--settings={runtime.settings}")
    assert refused.status == 1
    assert f"{runtime.settings}:1: enhancedContainerIsolation.locked is true" in refused.err
    assert (status()["enabled"], status()["source"]) == (True, f"{runtime.settings}:1, locked")
    (runtime.state_dir / "lib/choice.json").unlink()


def test_the_commands_on_a_file(runtime: Runtime, settings: Write) -> None:
    settings({"bindMounts": {"denied": ["/srv"]}, "mode": "sys"})
    words = (f"--settings={runtime.settings}",)
    checked = runtime.eci("policy", "check", str(runtime.settings))
    assert (checked.status, checked.out) == (1, f'{runtime.settings}:1: eci.mode: "sys": use "eci" or "system"\n')
    assert runtime.eci("policy", "compile", *words, f"--audit-dir={runtime.audit_dir}").status == 1
    settings({"bindMounts": {"denied": ["/srv"]}})
    assert runtime.eci("policy", "compile", *words).ok().out == ""
    shown = json.loads(runtime.eci("policy", "show", *words, "--json").ok().out)
    values = {one["path"]: (one["value"], one["source"]) for one in shown["values"]}
    assert values["eci.bindMounts.denied"] == (["/srv"], f"{runtime.settings}:1")
    assert values["eci.syscalls.nestedDepth"] == (32, "default")
    assert "bindMounts.denied" in runtime.eci("policy", "show", *words).ok().out
    runtime.settings.chmod(0o664)
    group = runtime.eci("policy", "check", str(runtime.settings))
    assert "it can be written by others than root: chmod go-w" in group.out
    (runtime.directory / "open").mkdir(mode=0o777)
    (runtime.directory / "open").chmod(0o777)
    (runtime.directory / "open/f.json").write_text("{}")
    assert "its directory" in runtime.eci("policy", "check", str(runtime.directory / "open/f.json")).out
    (runtime.directory / "open/f.json").unlink()
    (runtime.directory / "open").rmdir()
    assert runtime.eci("policy", "check", "/nowhere/x.json").ok().out == "/nowhere/x.json: there is no such file: defaults are in force\n"
