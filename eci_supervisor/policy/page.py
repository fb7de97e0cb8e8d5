"""docs/policy.md, written from the rules: `python -m eci_supervisor.policy.page > docs/policy.md`."""
from eci_supervisor.model.verdict import Continue, KernelCheck
from eci_supervisor.policy.rule import Allow, Ask, Errno, Floor, Refuse, Rule, Sysinfo
from eci_supervisor.policy.table import FLOORS, RULES

HEAD = """\
# Which system call is answered how

Written by `python -m eci_supervisor.policy.page` from `eci_supervisor/policy/table.py`; a test says that it is current. For one call the
first row that fits wins. The engine's own profile comes first: what it refuses stays refused, and nothing here allows it.

* **when**: the register that is tested, `argN & mask = value`. The flags of mount(2) are tested without MS_MGC_VAL; of an int the low 32
  bits count. A quoted name is the string argument as it was copied.
* **filter**: what the seccomp filter does in the trap sets `all` and `needed`: *asks* the supervisor, *passes* the call, or answers itself.
* **answer**: what the supervisor answers to a call that it is asked for. *continue* is answered in C, from registers, but where a name is
  quoted; a handler decides on copies. Both trap sets give the same verdicts; with `needed` there is no record of what passes.
* **kernel's check**: what makes every other content of memory harmless once the call goes on, and what holds with no supervisor at all.
* Rows marked with a key of the settings' section `syscalls` are there only where the admin has that rule.
"""
X32 = """
The calls of x32 that the filter asks for are answered ENOSYS, but for sysinfo: there is no decoder for them.
"""
NO_ABI = "x32."


def condition(rule: Rule) -> str:
    """The tests of a row."""
    tests = [f"arg{rule.when.arg} & {rule.when.mask:#x} = {rule.when.value:#x}"] if rule.when else []
    if rule.text:
        tests.append(f"arg{rule.text.arg} is " + " or ".join(f'"{name.decode()}"' for name in rule.text.names))
    return "; ".join(tests) or "always"


def in_filter(rule: Rule, *, trap_all: bool) -> str:
    """What the filter does with a row's values."""
    match rule.action:
        case Floor(errno) | Refuse(errno):
            return name_of(errno)
        case Allow():
            return "passes"
        case _:
            return "passes" if rule.passes and not trap_all else "asks"


def name_of(errno: int) -> str:
    return {1: "EPERM", 22: "EINVAL", 38: "ENOSYS"}[errno]


def answer(rule: Rule) -> str:
    match rule.action:
        case Continue():
            return "continue"
        case Ask(handler):
            return f"handler `{handler}`"
        case Errno(errno):
            return name_of(errno)
        case Sysinfo():
            return "written from the container's sample"
        case _:
            return "-"


def checks(rule: Rule) -> str:
    """The kernel checks relied on, by name."""
    match rule.action:
        case Continue(found) | Allow(found) | Ask(otherwise=found):
            return ", ".join(sorted(check.name for check in found)) or "-"
        case _:
            return "-"


def row(rule: Rule) -> str:
    both = in_filter(rule, trap_all=True), in_filter(rule, trap_all=False)
    only = f" (`{'`, `'.join(only.value for only in rule.only)}`)" if rule.only else ""
    cells = (f"`{rule.name}`{only}", f"{rule.call}({condition(rule)})", both[0] if both[0] == both[1] else " / ".join(both), answer(rule),
             checks(rule), rule.why)
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole document."""
    rows = [row(rule) for rule in RULES if not isinstance(rule.action, Floor) and not rule.name.startswith(NO_ABI)]
    floor = [f"| `{rule.call}` | {in_filter(rule, trap_all=True)} | {rule.why} |" for rule in FLOORS]
    meaning = [f"| {check.name} | {check.value} |" for check in KernelCheck]
    return "\n".join([
        HEAD, "| rule | call | filter | answer | kernel's check | why |", "|---|---|---|---|---|---|", *rows, X32,
        "## Kernel's checks", "", "| check | what it gives |", "|---|---|", *meaning, "",
        "## The floor", "",
        "The filter refuses these whatever the engine's profile says, `--privileged` and `seccomp=unconfined` included. `syscalls.deny`",
        "adds to it, `syscalls.allow` takes from it; the container's start event says which floor is in force.", "",
        "| call | answer | why |", "|---|---|---|", *floor, "",
    ])


if __name__ == "__main__":
    print(page(), end="")
