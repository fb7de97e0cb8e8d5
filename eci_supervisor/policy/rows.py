"""A container's rules compiled to the rows of native/policy.c. Pure: seccomp/serve.py puts them into C memory."""
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.verdict import Continue
from eci_supervisor.policy.arch import AUDIT_ARCH, Abi, number
from eci_supervisor.policy.chosen import chosen, notified
from eci_supervisor.policy.rule import Allow, Ask, Errno, Floor, Kind, Masked, Refuse, Rule, Sysinfo


class RowAction(IntEnum):
    """enum eci_action."""

    CONTINUE = 0
    ERRNO = 1
    ASK = 2
    SYSINFO = 3
    MOUNT = 4


@dataclass(frozen=True, slots=True)
class Row:
    """struct eci_row. text is -1 and names empty without a text condition; reads, pages and structs have one bit an argument."""

    arch: int
    nr: int
    arg: int
    kind: Kind
    mask: int
    value: int
    text: int
    names: tuple[bytes, ...]
    action: RowAction
    errno: int
    rule: int
    reads: int
    pages: int
    structs: int = 0


ALWAYS = Masked(arg=0, mask=0, value=0)


def _action(rule: Rule) -> tuple[RowAction, int]:
    match rule.action:
        case Errno(errno) | Refuse(errno):  # Refuse, should another filter let it through to us
            return RowAction.ERRNO, errno
        case Ask(lane=lane):
            return RowAction.MOUNT if lane else RowAction.ASK, 0
        case Continue() | Allow():
            return RowAction.CONTINUE, 0
        case Sysinfo():
            return RowAction.SYSINFO, 0
        case Floor():
            raise ValueError(f"{rule.name}: answered by the filter, so it has no row")


def _bits(args: tuple[int, ...]) -> int:
    return sum(1 << arg for arg in args)


def _row(index: int, rule: Rule, abi: Abi, nr: int) -> Row:
    when = rule.when or ALWAYS
    action, errno = _action(rule)
    return Row(
        arch=AUDIT_ARCH[abi], nr=nr, arg=when.arg, kind=when.kind, mask=when.mask, value=when.value,
        text=rule.text.arg if rule.text else -1, names=rule.text.names if rule.text else (),
        action=action, errno=errno, rule=index, reads=_bits(rule.reads), pages=_bits(rule.pages),
        structs=_bits(rule.structs),
    )


def compiled(abis: Iterable[Abi], calls: CallRules = NO_RULES) -> tuple[Row, ...]:
    """The rows of the calls that are notified, those of one ABI together and in the rules' order; none for a call that an ABI lacks."""
    asked = notified(calls)
    rules = [(index, rule) for index, rule in chosen(calls) if rule.call in asked]
    return tuple(
        _row(index, rule, abi, nr)
        for abi in abis
        for index, rule in rules
        if abi in rule.abis and (nr := number(abi, rule.call)) is not None
    )
