"""admin-settings.json: Docker's own examples load, an error names path, value and cure, nothing but it comes out of the reader."""
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.settings import BindRules, Digests, Image, NodeRules, Policy, Rights, Stamp
from eci_supervisor.settings.choice import choice_from_bytes, choice_to_bytes, effective
from eci_supervisor.settings.compile import compiled
from eci_supervisor.settings.digests import Seen, fresh, from_bytes, good, learnt, to_bytes, usable
from eci_supervisor.settings.document import Document
from eci_supervisor.settings.problem import Invalid
from eci_supervisor.settings.schema import json_schema
from eci_supervisor.settings.wire import WireError, policy_from_bytes, policy_to_bytes, rights_from_bytes, rights_to_bytes

FILE = "/etc/eci/admin-settings.json"


def policy(text: str | bytes) -> Policy:
    return compiled(text.encode() if isinstance(text, str) else text, FILE, Stamp(1, 2, 3, 4, 5))


def of(eci: dict[str, object] | None = None, **isolation: object) -> Policy:
    return policy(json.dumps({"enhancedContainerIsolation": isolation, "eci": eci or {}}))


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(Invalid) as raised:
        policy(text)
    return [str(problem) for problem in raised.value.problems]


def mount(images: list[str], kind: str, commands: list[str]) -> dict[str, object]:
    return {"imageList": {"images": images}, "commandList": {"type": kind, "commands": commands}}


def test_dockers_example_for_testcontainers() -> None:
    found = of(value=True, locked=True, dockerSocketMount=mount(
        ["docker.io/localstack/localstack:*", "docker.io/testcontainers/ryuk:*", "testcontainers/*:*"], "deny", ["push", "build"]))
    assert (found.value, found.locked) == (True, True)
    assert [entry.image for entry in found.socket.entries][-1] == "testcontainers/*:*"
    assert found.socket.commands.commands == ("image build", "image push")
    assert not found.socket.commands.allow


def test_dockers_example_for_ci() -> None:
    found = of(value=True, dockerSocketMount=mount(["docker:cli", "my-registry.com:5000/ci/*:*"], "allow", ["ps", "container*", "image*"]))
    assert found.socket.commands.allow
    assert {"container ls", "container run", "image pull", "image build"} <= set(found.socket.commands.commands)
    assert "volume ls" not in found.socket.commands.commands


def test_dockers_example_for_development() -> None:
    found = of(value=True, dockerSocketMount=mount(["docker:dind"], "deny", ["system*"]))
    assert set(found.socket.commands.commands) == {"system df", "system events", "system info", "system prune"}


def test_defaults_are_those_of_no_file() -> None:
    found = policy("{}")
    assert replace(found, file="", stamp=Stamp(), lines={}, warnings=()) == Policy()
    assert found.warnings == (
        "enhancedContainerIsolation.value is not true: eci-runc isolates what it is given, but the gateway forces nothing",)


WHOLE: dict[str, object] = {
    "mode": "system",
    "bindMounts": {"allowed": ["/home"], "denied": ["/srv/keys"], "readOnly": ["/opt/tools"], "idmap": "identity",
                   "identity": ["/srv/data"]},
    "dockerSocket": {
        "images": [{"image": "docker.io/testcontainers/ryuk:*", "scope": "own", "allowDerivedImages": False, "gid": 999,
                    "commandList": {"type": "allow", "commands": ["ps", "compose"]}}],
        "digests": {"refresh": "2m", "offline": "1h", "superseded": "1d", "authFile": "/etc/eci/auth.json"},
        "runtime": "other", "engine": "/run/other.sock", "builds": True, "engineAdmin": True, "maxBodyBytes": 65536},
    "audit": {"mode": "learn", "file": "/var/log/x/audit.jsonl"},
    "virtualNodes": {"cpuView": "quota", "swapView": "hidden", "max": {"vm.max_map_count": 7}},
    "limits": {"nestedUserNamespaces": 0},
    "syscalls": {"trap": "needed", "floor": "none", "deny": ["ptrace"], "allow": ["bpf"], "mknod": True,
                 "mountTypes": {"type": "allow", "list": ["tmpfs"]}, "mountSources": ["/srv"], "mountTargets": ["volume:/data"],
                 "namespaces": ["net"], "nestedDepth": 3},
}  # fmt: skip


def test_every_field_of_our_section() -> None:
    found = of(WHOLE)
    (entry,) = found.socket.entries
    assert (entry.where, entry.own_scope, entry.allow_derived, entry.gid) == ("eci.dockerSocket.images[0].image", True, False, 999)
    assert entry.commands.commands == ("compose", "container ls")
    assert found.socket.digests == Digests(120, 3600, 86400, "/etc/eci/auth.json")
    assert (found.socket.runtime, found.socket.engine, found.socket.max_body_bytes) == ("other", "/run/other.sock", 65536)
    assert found.socket.builds
    assert found.socket.engine_admin
    assert found.binds == BindRules(("/home",), ("/srv/keys",), ("/opt/tools",), owner=False, identity=frozenset({"/srv/data"}))
    assert found.nodes == NodeRules("quota", "hidden", (("vm.max_map_count", 7),))
    assert found.calls == CallRules(trap_all=False, floor=False, deny=("ptrace",), allow=("bpf",), mknod=True,
                                    mount_types=MountTypes(True, ("tmpfs",)), mount_sources=("/srv",), mount_targets=("volume:/data",),
                                    namespaces=("network",), nested_depth=3)
    assert (found.mode, found.learn, found.audit_file, found.nested_user_namespaces) == ("system", True, "/var/log/x/audit.jsonl", 0)
    assert policy_from_bytes(policy_to_bytes(found)) == found


@pytest.mark.parametrize(("path", "value", "told"), [
    ("enhancedContainerIsolation.value", "yes", '"yes": use true or false'),
    ("enhancedContainerIsolation.value", 1, "1: use true or false"),
    ("enhancedContainerIsolation.Value", True, 'there is no such setting: did you mean "value"?'),
    ("enhancedContainerIsolation.dockerSocketMount.commandList.type", "denny", '"denny": use "deny" or "allow"'),
    ("enhancedContainerIsolation.dockerSocketMount.imageList.images", "docker:cli", '"docker:cli": use a list: ["…"]'),
    ("enhancedContainerIsolation.dockerSocketMount.imageList", None, "null: use an object: {…}"),
    ("configurationFileVersion", 3, "3: use 2"), ("eci.mode", "sys", '"sys": use "eci" or "system"'),
    ("eci.bindMounts.allowed", ["home"], '"home": use an absolute path: "/home"'),
    ("eci.dockerSocket.digests.refresh", "1m", '"1m": use at least "2m"'),
    ("eci.dockerSocket.digests.offline", "3w", '"3w": use a whole number with s, m, h or d: "15m"'),
    ("eci.dockerSocket.maxBodyBytes", 1, "1: use at least 65536"), ("eci.limits.nestedUserNamespaces", 65537, "65537: use at most 65536"),
    ("eci.virtualNodes.max", {"vm.max_map_cuont": 1}, 'no virtual sysctl has this name: did you mean "vm.max_map_count"?'),
    ("eci.syscalls.deny", ["mounnt"], '"mounnt": no system call of any ABI here has this name'),
    ("eci.syscalls.allow", ["mount"], '"mount": only a call of the floor can be allowed'),
    ("eci.syscalls.mountTargets", ["/data"], '"/data": use "volume:" and a destination'),
    ("eci.syscalls.namespaces", ["network"], '"network": use "user", "mnt"'),
    ("Eci", {}, 'write it "eci"'), ("eci.limits.nestedUserNamespaces", 1.5, "1.5: use a whole number"),
])  # fmt: skip
def test_an_error_names_path_value_and_cure(path: str, value: object, told: str) -> None:
    whole: dict[str, object] = {}
    here = whole
    *above, last = path.split(".")
    for part in above:
        here[part] = {}
        here = here[part]  # type: ignore[assignment] # the object just made
    here[last] = value
    (found,) = problems(json.dumps(whole))
    assert found.startswith(path)
    assert told in found


def test_commands_images_and_all_errors_at_once() -> None:
    socket = mount(["docker", "docker.io/library/docker:latest"], "deny", ["pusch", "compose"])
    unknown, client_side, twice = problems(json.dumps({"enhancedContainerIsolation": {"dockerSocketMount": socket}}))
    assert "images[1]" in twice
    assert "the same image as enhancedContainerIsolation.dockerSocketMount.imageList.images[0]" in twice
    assert 'commands[0]: "pusch"' in unknown
    assert 'commands[1]: "compose": no endpoint' in client_side
    bad = {"enhancedContainerIsolation": {"value": 1, "dockerSocketMount": mount(["Docker"], "denny", [])}, "eci": {"mode": 2}}
    assert len(problems(json.dumps(bad))) == 4


@pytest.mark.parametrize(("text", "told"), [
    ('{\n"a": ["container\\*"]}', 'line 2: \\* is no JSON escape: write "container*"'),
    ('{"a": 1,\n\n"a": 2}', "a: the key stands there twice"), ('{"a": 1,}', 'line 1: no "," may stand before "}"'),
    ('{"a": NaN}', "line 1: a value must stand here"), ('{"a": 01}', 'line 1: "," or "}" must stand here'),
    ("{} x", "line 1: nothing may follow"),
    ('{"a" 1}', '":" must stand'), ("", "a value must stand here"), ('{"a": "x', "a string must end on its line"),
    ('{"\\ud800": 1}', "half of a surrogate pair"), ("[" * 70, "nested deeper than 64"), (b"\xff{}", "this is not UTF-8"),
    (b" " * ((1 << 20) + 1), "it is larger than 1048576 bytes"), ("[]", "use an object"),
])  # fmt: skip
def test_text_that_is_no_json(text: str | bytes, told: str) -> None:
    assert told in problems(text)[0]


def test_a_bom_is_accepted_and_lines_are_known() -> None:
    found = policy(b'\xef\xbb\xbf{\n "eci": {\n  "bindMounts": {"denied": ["/a",\n "/b"]}}}')
    assert found.lines["eci.bindMounts.denied[1]"] == 4
    assert found.lines["eci"] == 2


@given(st.recursive(st.none() | st.booleans() | st.integers(-10**9, 10**9) | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8))
def test_what_json_writes_is_read_alike(value: object) -> None:
    assert Document(json.dumps(value).encode()).value == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0aE-+.tfn \n', max_size=40).map(str.encode))
def test_any_bytes_are_settings_or_invalid(text: bytes) -> None:
    try:
        value = Document(text).value
    except Invalid:
        return
    assert value == json.loads(text.removeprefix(b"\xef\xbb\xbf"))


def test_what_is_denied_takes_others_along() -> None:
    """Acceptance 30: which endpoints a cut shares is said."""
    (warning,) = of(value=True, dockerSocketMount=mount(["docker:cli"], "deny", ["system prune"])).warnings
    assert "volume prune" in warning


def test_rights_survive_the_way_to_the_supervisor() -> None:
    rights = Rights("c" * 64, "/run/docker.sock", "eci-runc", Image("sha256:1", "docker.io/library/x:1", ("a",), ("b",), ("c",)), "x",
                    policy(json.dumps({})).socket.commands)
    assert rights_from_bytes(rights_to_bytes(rights)) == rights
    for text in (b"", b"[]", b'{"v": 2}', b'{"v": 1, "rights": {}}'):
        with pytest.raises(WireError):
            rights_from_bytes(text)
        with pytest.raises(WireError):
            policy_from_bytes(text)


def test_the_schema_for_editors() -> None:
    schema = json_schema()
    assert schema["properties"]["eci"]["$ref"].endswith("/Eci")
    assert schema["$defs"]["Commands"]["properties"]["type"]["enum"] == ["deny", "allow"]


def test_digests_over_time() -> None:
    """Fresh, usable while nobody answers, superseded: each for its time, and never from the future."""
    rules = Digests(refresh_s=100, offline_s=1000, superseded_s=50)
    seen = learnt((), "one", 0.0)
    assert (fresh(seen, rules, 99.0), fresh(seen, rules, 100.0), fresh(seen, rules, -1.0)) == (True, False, False)
    assert (usable(seen, rules, 999.0), usable(seen, rules, 1000.0), usable((), rules, 0.0)) == (True, False, False)
    seen = learnt(learnt(seen, "one", 10.0), "two", 20.0)
    assert seen == (Seen("one", 0.0, 10.0), Seen("two", 20.0, 20.0))
    assert good(seen, rules, 69.0) == {"one", "two"}
    assert good(seen, rules, 70.0) == {"two"}
    assert good(learnt(seen, "one", 80.0), rules, 200.0) == {"one"}
    assert from_bytes(to_bytes({"x": seen})) == {"x": seen}
    for text in (b"", b"{}", b'{"tags": {"x": [1]}}', b'{"tags": []}'):
        assert from_bytes(text) == {}


def test_who_decides_whether_isolation_is_forced() -> None:
    """A locked file, else the user's choice, else the file, else nobody."""
    on, locked = of(value=True), of(value=True, locked=True)
    assert effective(locked, choice=False).enabled
    assert "locked" in effective(locked, choice=False).source
    assert not effective(on, choice=False).enabled
    assert effective(on, choice=None).source == f"{FILE}:1"
    assert (effective(Policy(), choice=None).enabled, effective(Policy(), choice=True).enabled) == (False, True)
    assert choice_from_bytes(choice_to_bytes(True)) is True
    assert [choice_from_bytes(text) for text in (b"", b"[]", b'{"value": 1}')] == [None, None, None]
