"""The seccomp section: what the engine allows is notified, what it refuses stays refused."""
from typing import Any

import pytest

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.state import Mode
from eci_supervisor.policy.chosen import notified
from eci_supervisor.policy.profile import SYSTEM, WAIT_KILLABLE, ProfileRefused, seccomp_section
from eci_supervisor.policy.table import FLOOR

Section = dict[str, Any]
NOTIFIED = notified(CallRules())
ALLOW, ERRNO, NOTIFY, LOG = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY", "SCMP_ACT_LOG"


def section(
    engine: Section | None, mode: Mode = Mode.ECI, flags: frozenset[str] = frozenset(), calls: CallRules = NO_RULES,
) -> Section:
    return seccomp_section(engine, listener_path="/run/eci/c/k/notify.sock", metadata="token", mode=mode, flags=flags, calls=calls)


def docker(*rules: Section, default: str = ERRNO) -> Section:
    """As Docker 20.10 writes it for a container without capabilities of note."""
    return {
        "defaultAction": default,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["read", "write", "bpf"], "action": ALLOW}, *rules],
    }


def rules_of(made: Section, name: str) -> list[Section]:
    return [rule for rule in made["syscalls"] if name in rule["names"]]


def actions(made: Section, name: str) -> list[str]:
    return [rule["action"] for rule in rules_of(made, name)]


def test_without_a_section_everything_else_is_allowed() -> None:
    made = section(None)
    assert made["defaultAction"] == ALLOW
    assert made["architectures"][:1] == ["SCMP_ARCH_X86_64"]
    assert "SCMP_ARCH_X32" in made["architectures"]
    assert {name for rule in made["syscalls"] if rule["action"] == NOTIFY for name in rule["names"]} == NOTIFIED
    refused = {name for rule in made["syscalls"] if rule["action"] == ERRNO for name in rule["names"]}
    assert refused == FLOOR.keys() | {"open_tree", "open_tree_attr"}
    assert (made["listenerPath"], made["listenerMetadata"]) == ("/run/eci/c/k/notify.sock", "token")
    assert "flags" not in made


def test_what_the_engine_refuses_stays_refused() -> None:
    made = section(docker())
    assert actions(made, "mount") == []
    assert actions(made, "unshare") == []
    assert made["defaultAction"] == ERRNO


def test_what_the_engine_allows_is_notified_and_taken_out_of_its_rule() -> None:
    made = section(docker({"names": ["mount", "umount2", "setns", "sethostname"], "action": ALLOW}))
    assert [actions(made, name) for name in ("mount", "umount2", "setns")] == [[NOTIFY]] * 3
    assert [actions(made, name) for name in ("sethostname", "read")] == [[ALLOW]] * 2
    assert all(len(rule["names"]) == 1 for name in NOTIFIED for rule in rules_of(made, name))


def test_the_floor_is_refused_where_the_engine_would_allow_it() -> None:
    made = section(docker({"names": ["syslog"], "action": ERRNO, "errnoRet": 38}))
    assert rules_of(made, "bpf") == []  # the same as the default: EPERM
    assert [rule["errnoRet"] for rule in rules_of(made, "syslog")] == [38]
    made = section({**docker(), "defaultErrnoRet": 38})
    assert [(rule["action"], rule["errnoRet"]) for rule in rules_of(made, "bpf")] == [(ERRNO, 1)]


def test_argument_conditions_are_kept_with_our_action() -> None:
    args = [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    made = section(docker({"names": ["setns"], "action": ALLOW, "args": args}))
    assert [(rule["action"], rule["args"]) for rule in rules_of(made, "setns")] == [(NOTIFY, args)]


def test_what_the_engine_allows_is_parted_by_our_own_conditions() -> None:
    """As Docker writes clone for a container without CAP_SYS_ADMIN: what makes a namespace is not ours to notify."""
    no_namespace = [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    made = section(docker({"names": ["clone"], "action": ALLOW, "args": no_namespace}))
    assert [(rule["action"], rule["args"]) for rule in rules_of(made, "clone")] == [(ALLOW, no_namespace)]
    made = section(docker({"names": ["clone"], "action": ALLOW}))
    assert [(rule["action"], rule["args"]) for rule in rules_of(made, "clone") if rule["action"] == ALLOW] == [(ALLOW, no_namespace)]
    assert {rule["action"] for rule in rules_of(made, "clone")} == {ALLOW, NOTIFY}


def test_the_other_trap_set_lets_pass_what_needs_nobody() -> None:
    made = section(docker({"names": ["mount", "setns", "umount2"], "action": ALLOW}), calls=CallRules(trap_all=False))
    assert actions(made, "setns") == [ALLOW]
    assert sorted(actions(made, "mount")) == [ALLOW] * 6 + [NOTIFY] * 4
    assert sorted(actions(made, "umount2")) == [ALLOW, NOTIFY]


def test_an_admins_namespace_rule_is_the_filters() -> None:
    made = section(None, calls=CallRules(namespaces=("network",)))
    refused = {(rule["names"][0], rule["errnoRet"]) for rule in made["syscalls"] if rule["action"] == ERRNO}
    refused -= {(name, 1) for name in FLOOR}
    assert refused == {("unshare", 1), ("clone", 1), ("clone3", 38), ("open_tree", 22), ("open_tree_attr", 22)}


def test_the_floor_takes_and_gives() -> None:
    made = section(None, calls=CallRules(allow=("bpf",), deny=("ptrace", "clone3")))
    assert (actions(made, "bpf"), actions(made, "ptrace"), actions(made, "syslog")) == ([], [ERRNO], [ERRNO])
    assert [rule["errnoRet"] for rule in rules_of(made, "clone3")] == [38]
    assert actions(section(None, calls=CallRules(floor=False, deny=("bpf",))), "syslog") == []
    assert actions(section(docker(), calls=CallRules(allow=("syslog",))), "syslog") == []  # what the engine refuses it does not give


def test_a_default_that_allows_is_notified_where_no_rule_holds() -> None:
    new_user = {"index": 0, "value": 0x10000000, "valueTwo": 0x10000000, "op": "SCMP_CMP_MASKED_EQ"}
    denied = {"names": ["setns"], "action": ERRNO, "args": [new_user]}
    made = section(docker(denied, default=ALLOW))
    assert actions(made, "setns") == [ERRNO, NOTIFY]
    assert rules_of(made, "setns")[1]["args"] == [{"index": 0, "value": 0x10000000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]


def test_a_rule_that_only_repeats_an_allowing_default_does_not_swallow_a_refusal() -> None:
    denied = {"names": ["setns"], "action": ERRNO, "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]}
    made = section(docker({"names": ["setns"], "action": ALLOW}, denied, default=ALLOW))
    assert {rule["action"] for rule in rules_of(made, "setns")} == {ERRNO, NOTIFY}
    assert all("args" in rule for rule in rules_of(made, "setns"))


def test_rules_that_cannot_be_turned_around_are_refused_in_one_sentence() -> None:
    wide = {"names": ["mount"], "action": ERRNO, "args": [{"index": i, "value": 7, "op": "SCMP_CMP_NE"} for i in range(5)]}
    many = [
        {"names": ["mount"], "action": ERRNO, "args": [{"index": i, "value": 7 * k, "op": "SCMP_CMP_EQ"} for i in range(3)]}
        for k in range(9)
    ]
    for rules in ([wide], many):
        with pytest.raises(ProfileRefused, match="argument rules for mount"):
            section(docker(*rules, default=ALLOW))


def test_system_mode_allows_what_namespaces_judge() -> None:
    made = section(docker({"names": ["clone3"], "action": ERRNO, "errnoRet": 38}), Mode.SYSTEM)
    for name in SYSTEM:
        assert set(actions(made, name)) - {ALLOW, ERRNO} == ({NOTIFY} if name in NOTIFIED else set()), name
        assert name in NOTIFIED or actions(made, name) == [ALLOW]
    assert actions(made, "bpf") == []


def test_system_mode_without_a_section_needs_no_rule_for_what_is_allowed_anyway() -> None:
    made = section(None, Mode.SYSTEM)
    assert actions(made, "clone3") == []
    assert actions(made, "mount") == [NOTIFY]
    assert actions(made, "syslog") == [ERRNO]


def test_flags_are_those_the_runtime_knows() -> None:
    engine = docker() | {"flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]}
    assert "flags" not in section(engine)
    known = frozenset({"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", WAIT_KILLABLE})
    assert section(engine, flags=known)["flags"] == ["SECCOMP_FILTER_FLAG_LOG", WAIT_KILLABLE]


@pytest.mark.parametrize("engine", [
    docker() | {"listenerPath": "/x"}, docker({"names": ["chmod"], "action": NOTIFY}), docker(default=NOTIFY),
])  # fmt: skip
def test_a_listener_of_its_own_is_refused(engine: Section) -> None:
    with pytest.raises(ProfileRefused, match="one listener"):
        section(engine)


def test_a_default_that_logs_allows_too() -> None:
    assert actions(section(docker(default=LOG)), "mount") == [NOTIFY]


def test_the_engines_section_is_not_changed() -> None:
    engine = docker({"names": ["mount", "chmod"], "action": ALLOW})
    before = repr(engine)
    section(engine, Mode.SYSTEM)
    assert repr(engine) == before
