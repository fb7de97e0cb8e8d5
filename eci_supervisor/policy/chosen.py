"""Which of RULES a container has, by its admin's rules, and what of a call the filter lets pass, refuses or notifies. Pure."""
from dataclasses import dataclass
from errno import ENOSYS, EPERM

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.policy import cubes
from eci_supervisor.policy.rule import Allow, Floor, Masked, Only, Refuse, Rule
from eci_supervisor.policy.table import FLOOR, RULES

ALWAYS = Masked(arg=0, mask=0, value=0)
DEEPEST = 32  # of user namespaces, below the host's: the kernel's own limit
LIMIT = 256  # filter rules of one call
# What software takes for "this kernel has none" and does without; any other errno is fatal to it.
DENIED_AS = {"clone3": ENOSYS, "keyctl": ENOSYS, "add_key": ENOSYS, "request_key": ENOSYS}


@dataclass(frozen=True, slots=True)
class Parts:
    """The values of the six registers of one call, in three that are disjoint, each in cubes. refused: with the errno."""

    notified: tuple[cubes.Cube, ...]
    passed: tuple[cubes.Cube, ...]
    refused: tuple[tuple[int, cubes.Cube], ...]


def wanted(calls: CallRules) -> frozenset[Only]:
    """Which of the admin's rules there are."""
    there = {
        Only.MKNOD: calls.mknod,
        Only.MOUNT_SOURCES: bool(calls.mount_sources),
        Only.MOUNT_TARGETS: bool(calls.mount_targets),
        Only.MOUNT_TYPES: calls.mount_types.allow or bool(calls.mount_types.types),
        Only.NAMESPACES: bool(calls.namespaces),
        Only.NESTED_DEPTH: calls.nested_depth < DEEPEST,
    }
    return frozenset(only for only, holds in there.items() if holds)


def is_chosen(rule: Rule, calls: CallRules) -> bool:
    """Whether a container with these rules has that row; the floor is apart."""
    if isinstance(rule.action, Floor) or (rule.kind and rule.kind not in calls.namespaces):
        return False
    there = wanted(calls)
    return there.isdisjoint(rule.unless) and (not rule.only or not there.isdisjoint(rule.only))


def chosen(calls: CallRules, rules: tuple[Rule, ...] = RULES) -> tuple[tuple[int, Rule], ...]:
    """The rows of a container, each with its index in `rules`."""
    return tuple((index, rule) for index, rule in enumerate(rules) if is_chosen(rule, calls))


def floor(calls: CallRules) -> dict[str, int]:
    """The calls that the filter refuses whatever else is said, with the errno."""
    default = {} if not calls.floor else {call: errno for call, errno in FLOOR.items() if call not in calls.allow}
    return default | {call: DENIED_AS.get(call, EPERM) for call in calls.deny}


def filtered(calls: CallRules) -> dict[str, Parts]:
    """What the filter does with each call that is not left to the engine's profile alone."""
    by_call: dict[str, list[Rule]] = {}
    for _, rule in chosen(calls):
        by_call.setdefault(rule.call, []).append(rule)
    split = {call: parts(rules, trap_all=calls.trap_all) for call, rules in by_call.items()}
    return {call: each for call, each in split.items() if each.notified or each.refused}


def notified(calls: CallRules) -> frozenset[str]:
    """The calls that a filter for these rules notifies, for some values of their registers."""
    return frozenset(call for call, each in filtered(calls).items() if each.notified)


def parts(rules: list[Rule], *, trap_all: bool) -> Parts:
    """One call's values, by its rules in their order."""
    if any(rule.traps for rule in rules):
        # mount(2)'s flags are not what the register says, so the filter's tests are written out, coarser than the rules.
        traps = (_cube(each) for rule in rules for each in rule.traps)
        passes = (_cube(each) for rule in rules for each in rule.passes)
        return Parts((cubes.EVERYTHING,), (), ()) if trap_all else Parts(tuple(traps), tuple(passes), ())
    rest = [cubes.EVERYTHING]
    passed: list[cubes.Cube] = []
    notified: list[cubes.Cube] = []
    refused: list[tuple[int, cubes.Cube]] = []
    for rule in rules:
        cube = _cube(rule.when or ALWAYS)
        here = cubes.both(rest, [cube], LIMIT)
        rest = cubes.without(rest, cube)
        if isinstance(rule.action, Refuse):
            refused += [(rule.action.errno, each) for each in here]
        else:
            (passed if _passes(rule, trap_all=trap_all) else notified).extend(here)
    return Parts(tuple(notified), tuple(passed), tuple(refused))


def _passes(rule: Rule, *, trap_all: bool) -> bool:
    return isinstance(rule.action, Allow) or (bool(rule.passes) and not trap_all)


def _cube(when: Masked) -> cubes.Cube:
    return cubes.of_register(when.arg, when.mask, when.value)
