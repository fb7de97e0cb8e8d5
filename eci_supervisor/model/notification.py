"""A blocked system call, as the serving thread hands it on."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A string of the caller, copied once. `errno` is 0, EFAULT (nothing readable), or ENAMETOOLONG (no NUL within the limit)."""

    value: bytes
    errno: int = 0
    null: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A notification with the copies its rule asked for.

    id: the notification id; tid: the caller's thread id in our pid namespace; arch: AUDIT_ARCH_*; nr: as the kernel said it, x32's
    bit included; args: the six registers; ip: instruction pointer; rule: index into policy.table.RULES; texts: by argument index;
    received_ns: CLOCK_MONOTONIC at RECV; made: the mount that the serving thread has made for the same call before, or 0.
    """

    id: int
    tid: int
    arch: int
    nr: int
    args: tuple[int, int, int, int, int, int]
    ip: int
    rule: int
    texts: dict[int, Text]
    received_ns: int
    made: int = 0
