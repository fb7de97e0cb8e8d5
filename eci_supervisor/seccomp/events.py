"""A vetted call as an event for people: names instead of numbers, bytes of the container escaped and cut. Pure."""
from collections.abc import Mapping

from eci_supervisor.model.event import Event
from eci_supervisor.model.verdict import Continue
from eci_supervisor.policy.arch import Abi, abi_of, number
from eci_supervisor.policy.rule import Allow, Ask, Rule
from eci_supervisor.policy.table import KINDS, RULES
from eci_supervisor.seccomp.ring import Done, RawEvent

TEXT_LIMIT = 256  # characters of one string
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "mount": ("source", "target", "type", "flags", "data"),
    "umount2": ("target", "flags"),
    "umount": ("target",),
    "unshare": ("flags",),
    "setns": ("fd", "nstype"),
    "sysinfo": ("info",),
}
VERDICTS: Mapping[Done, str] = {
    Done.CONTINUED: "continue", Done.DENIED: "deny", Done.EMULATED: "emulate", Done.MOUNTED: "emulate",
    Done.LABEL: "deny", Done.FAILED: "fail", Done.STUCK_READ: "fail", Done.MOUNTER: "fail", Done.HANDLER: "fail",
}
REASONS: Mapping[Done, str] = {
    Done.FAILED: "too many calls of this listener wait for the mounter",
    Done.STUCK_READ: "the caller's memory could not be read within a second",
    Done.MOUNTER: "the mounter is dead or did not answer in time",
    Done.HANDLER: "the handler failed: see the supervisor's log",
    Done.LABEL: "the caller's AppArmor or SELinux label is not ours, so nothing is done in its name",
}
PRINTED: Mapping[int, str] = {byte: chr(byte) for byte in range(0x20, 0x7F)} | {ord("\\"): "\\\\"}
NO_RULE = "no rule fits this call"


def escaped(text: bytes) -> str:
    """Printable ASCII as it is, a backslash doubled, the rest as \\xNN; cut with an ellipsis of three dots."""
    shown = "".join(PRINTED.get(byte, f"\\x{byte:02x}") for byte in text[:TEXT_LIMIT])
    return shown if len(text) <= TEXT_LIMIT and len(shown) <= TEXT_LIMIT else shown[: TEXT_LIMIT - 3] + "..."


def namespace(text: bytes) -> str:
    """What native/setns.c tells: kind, inode, and the host's uid of who made the user namespace that owns it, or that it is."""
    kind, inode, owner = text.decode("ascii").split()
    name = next((name for name, bit in KINDS.items() if bit == int(kind, 16)), f"{kind} (a kind we do not know)")
    return f"{name} namespace {inode}, made by uid {owner}"


def _arguments(call: str, raw: RawEvent) -> dict[str, str]:
    """The registers the call has, in hexadecimal, a copied string in the place of its pointer, a namespace in that of its descriptor."""
    names = ARGUMENTS.get(call, tuple(f"arg{index}" for index in range(6)))
    show = namespace if call == "setns" else escaped
    return {name: show(raw.texts[index]) if index in raw.texts else f"{raw.args[index]:#x}" for index, name in enumerate(names)}


def _checks(raw: RawEvent) -> tuple[str, ...]:
    """The kernel checks that a continued call relies on."""
    if raw.done is not Done.CONTINUED:
        return ()
    match RULES[raw.rule].action:
        case Continue(checks) | Allow(checks) | Ask(otherwise=checks):
            return tuple(sorted(check.name for check in checks))
        case _:
            return ()


def _name(abi: Abi | None, nr: int) -> str:
    """A call that no rule was found for, or none yet."""
    return next((call for call in sorted({rule.call for rule in RULES}) if abi and number(abi, call) == nr), f"syscall {nr}")


def _why(raw: RawEvent, rule: Rule | None) -> str:
    if raw.done is Done.FAILED and rule is None:
        return NO_RULE
    return REASONS.get(raw.done) or (rule.why if rule else NO_RULE)


def event_of(raw: RawEvent, *, container: str, root: str) -> Event:
    """`raw` as an event of `container`, as its engine calls it, below the runtime's --root.

    pid is the thread's where the process could not be asked any more.
    """
    rule = RULES[raw.rule] if raw.rule >= 0 else None
    abi = abi_of(raw.arch, raw.nr)
    call = rule.call if rule else _name(abi, raw.nr)
    return Event(
        id=raw.id, time=raw.time_ns / 1e9, container=container, root=root, pid=raw.pid or raw.tid, tid=raw.tid, uid=raw.uid,
        call=call, abi=abi.value if abi else f"{raw.arch:#x}", args=_arguments(call, raw), verdict=VERDICTS[raw.done], errno=raw.errno,
        rule=rule.name if rule else "none", why=_why(raw, rule), checks=_checks(raw),
        duration_us=raw.duration_ns / 1e3,
    )
