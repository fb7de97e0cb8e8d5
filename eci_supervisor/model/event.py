"""Events: what is kept of each vetted call and of each turn in a container's life."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One record, as it stands in the audit file and in `eci events --json`.

    id: unique, 16 hex digits; time: seconds since 1970; call: the system call's name, or the life event ("start", "exec", "end",
    "tunable_not_effective"); abi: "x86_64", "i386", "x32", "aarch64" or ""; args: registers as hexadecimal and copied strings, escaped;
    verdict: "continue", "deny", "emulate", "fail", "info" or "learn" (a list would deny); errno: 0 or positive; rule: the rule's name;
    why: its reason; checks: the kernel checks relied on; uid is None where the caller was gone before it could be asked.
    """

    id: str
    time: float
    container: str
    root: str
    pid: int
    tid: int
    uid: int | None
    call: str
    abi: str
    args: dict[str, str]
    verdict: str
    errno: int
    rule: str
    why: str
    checks: tuple[str, ...] = ()
    duration_us: float = 0.0
    v: int = 1
