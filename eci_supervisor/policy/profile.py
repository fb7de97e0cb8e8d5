"""The OCI seccomp section of a container: the engine's, with what its rules say of a call wherever the engine would allow it.

Some facts about what the runtimes do with the section (libseccomp 2.5, runc 1.1, crun 1.8):
- A rule without arguments swallows those with, in either order; two rules with different actions that overlap are undefined.
  So an engine's rule is never joined by one of ours: it is copied with another action, or complemented by disjoint ones.
- Several conditions on one register make runc and crun write one rule for each condition: they are alternatives then.
- An ABI that `architectures` does not list is killed. A call that libseccomp does not know is left out silently.
- runc before 1.2 refuses every flag; a listener cannot be had together with TSYNC.
"""
from collections.abc import Iterable
from errno import ENOSYS, EPERM
from typing import Any

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.state import Mode
from eci_supervisor.policy import cubes
from eci_supervisor.policy.arch import OCI_NAME, known_calls, machine_abis
from eci_supervisor.policy.chosen import Parts, filtered, floor

ALLOW, ERRNO, LOG, NOTIFY = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"
PASSING = frozenset({ALLOW, LOG})
NOT_WITH_A_LISTENER = frozenset({"SECCOMP_FILTER_FLAG_TSYNC"})
WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
REST_LIMIT = 1024

# What the kernel judges by the container's own namespaces: allowed in system mode, whatever capabilities the engine thought of.
SYSTEM = frozenset({
    "mount", "umount", "umount2", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "statmount", "listmount", "pivot_root", "chroot", "unshare", "setns", "clone", "clone3", "sethostname", "setdomainname",
    "keyctl", "add_key", "request_key", "reboot", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "quotactl", "quotactl_fd", "fanotify_init",
})


class ProfileRefused(ValueError):
    """The engine's profile cannot be combined with ours; the text is one sentence for the user."""


Rule = dict[str, Any]  # one entry of `syscalls`, as the OCI spec has it


Ours = list[tuple[Rule, list[cubes.Cube]]]  # actions in the place of an allowing one, each with the values it is for; disjoint


def _ours(parts: Parts) -> Ours:
    """The actions for one call."""
    refused = [({"action": ERRNO, "errnoRet": errno}, [cube]) for errno, cube in parts.refused]
    return [({"action": NOTIFY}, list(parts.notified)), ({"action": ALLOW}, list(parts.passed)), *refused]


def _everywhere(action: Rule) -> Ours:
    return [(action, [cubes.EVERYTHING])]


def _alternatives(rule: Rule) -> list[list[cubes.Condition]]:
    """What a rule's args stand for: it holds where all conditions of one of these lists do."""
    conditions = [(arg["index"], arg["op"], arg["value"], arg.get("valueTwo") or 0) for arg in rule.get("args") or []]
    if len({index for index, *_ in conditions}) < len(conditions):
        return [[condition] for condition in conditions]
    return [conditions]


def _args(cube: cubes.Cube) -> list[Rule]:
    """A cube as the conditions of one rule."""
    mask, value = cube
    return [
        {"index": index, "value": word, "valueTwo": value >> 64 * index & cubes.WORD, "op": "SCMP_CMP_MASKED_EQ"}
        for index in range(6) if (word := mask >> 64 * index & cubes.WORD)
    ]


def _rest(rules: list[Rule]) -> list[cubes.Cube]:
    """What the engine's rules for a call leave to the default."""
    rest = [cubes.EVERYTHING]
    for conditions in (alternative for rule in rules for alternative in _alternatives(rule)):
        rest = cubes.both(rest, cubes.unmatched(conditions, REST_LIMIT), REST_LIMIT)
    return rest


def _written(name: str, ours: Ours, where: list[cubes.Cube]) -> list[Rule]:
    """Our actions, for the values that are in `where` too."""
    return [
        {"names": [name], **action, **({"args": args} if (args := _args(cube)) else {})}
        for action, values in ours for cube in cubes.both(where, values, REST_LIMIT)
    ]


def _changed(name: str, rule: Rule, ours: Ours) -> list[Rule]:
    """An allowing rule of the engine's with our actions in its place; as it stands, but for the action, where we have one only."""
    present = [(action, values) for action, values in ours if values]
    if len(present) == 1 and present[0][1] == [cubes.EVERYTHING]:
        return [{**rule, **present[0][0]}]
    return [made for each in _alternatives(rule) for made in _written(name, present, cubes.matched(each, REST_LIMIT))]


def _for_call(name: str, rules: list[Rule], ours: Ours, *, default_passes: bool, system: bool) -> list[Rule]:
    """All rules of one call that is ours or that system mode allows."""
    if system and name in SYSTEM:
        return _written(name, ours or _everywhere({"action": ALLOW}), [cubes.EVERYTHING])
    if not ours:
        return rules
    try:
        changed = [made for rule in rules for made in (_changed(name, rule, ours) if rule["action"] in PASSING else [rule])]
        return changed + (_written(name, ours, _rest(rules)) if default_passes else [])
    except cubes.TooManyCubesError as error:
        raise ProfileRefused(f"the seccomp profile's argument rules for {name} are too many to turn around: simplify them") from error


def _split(engine: Rule, names: frozenset[str]) -> tuple[list[Rule], dict[str, list[Rule]]]:
    """The engine's rules without `names`, and those of each of them apart."""
    others: list[Rule] = []
    apart: dict[str, list[Rule]] = {name: [] for name in sorted(names)}
    for rule in engine.get("syscalls") or []:
        for name in names.intersection(rule["names"]):
            apart[name].append({**rule, "names": [name]})
        if left := [name for name in rule["names"] if name not in names]:
            others.append({**rule, "names": left})
    return others, apart


def _refuse_foreign_listener(engine: Rule) -> None:
    if engine.get("listenerPath"):
        raise ProfileRefused("the seccomp profile has a listenerPath of its own: a container has one listener, and it is eci's")
    actions = [engine["defaultAction"], *(rule["action"] for rule in engine.get("syscalls") or [])]
    if NOTIFY in actions:
        raise ProfileRefused(f"the seccomp profile uses {NOTIFY}: a container has one listener, and it is eci's")


def _without_default(engine: Rule, rules: Iterable[Rule]) -> list[Rule]:
    """Without rules that only repeat the default: runc skips such, crun may not."""
    default = (engine["defaultAction"], engine.get("defaultErrnoRet", EPERM) if engine["defaultAction"] == ERRNO else None)
    return [
        rule for rule in rules
        if (rule["action"], rule.get("errnoRet", EPERM) if rule["action"] == ERRNO else None) != default
    ]


def _of_known_calls(base: Rule) -> Rule:
    """The same, but for calls younger than libseccomp: no rule can be written about them, and open_tree_attr makes clones."""
    return {**base, "defaultAction": ERRNO, "defaultErrnoRet": ENOSYS, "syscalls": [{"names": list(known_calls()), "action": ALLOW}]}


def seccomp_section(
    engine: dict[str, object] | None, *, listener_path: str, metadata: str, mode: Mode, flags: frozenset[str] = frozenset(),
    calls: CallRules = NO_RULES,
) -> dict[str, object]:
    """`linux.seccomp` for the real runtime.

    engine: the section of the engine's config.json, None if it has none (unconfined, privileged); flags: those the runtime knows;
    calls: the admin's rules. Raises ProfileRefused.
    """
    base: Rule = {"defaultAction": ALLOW, **(engine or {})}
    if calls.mount_sources and base["defaultAction"] in PASSING and not base.get("syscalls"):
        base = _of_known_calls(base)
    _refuse_foreign_listener(base)
    system = mode is Mode.SYSTEM
    ours = {name: _ours(parts) for name, parts in filtered(calls).items()}
    ours |= {name: _everywhere({"action": ERRNO, "errnoRet": errno}) for name, errno in floor(calls).items()}
    others, apart = _split(base, frozenset(ours) | (SYSTEM if system else frozenset()))
    passes = base["defaultAction"] in PASSING
    rules = [
        rule for name, own in apart.items()
        for rule in _for_call(name, _without_default(base, own), ours.get(name, []), default_passes=passes, system=system)
    ]
    section: dict[str, object] = {
        **base,
        "architectures": base.get("architectures") or [OCI_NAME[abi] for abi in machine_abis()],
        "syscalls": _without_default(base, rules) + others,
        "listenerPath": listener_path,
        "listenerMetadata": metadata,
    }
    section.pop("flags", None)
    kept = (frozenset(base.get("flags") or ()) | {WAIT_KILLABLE}) & flags - NOT_WITH_A_LISTENER
    if kept:
        section["flags"] = sorted(kept)
    return section
