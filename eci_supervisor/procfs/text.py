"""What may be written to a tunable: the text rules of the kernel's proc_dointvec, and those of a word in sysfs. Pure.

Source: __do_proc_dointvec, proc_get_long and strtoul_lenient of kernel/sysctl.c; fs/proc/proc_sysctl.c. Where the kernel stores the
first fields of a text before it finds the next one wrong, ours stores none: EINVAL means that nothing changed.
"""
import errno
import re

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs.node import Store

PAGE_BYTES = 4096
NUMBER_CHARACTERS = 21  # TMPBUFLEN - 1: the kernel copies that much of a number, and refuses one that fills it
SPACES = b" \t\n\v\f\r"  # isspace() of the kernel, but for the no-break space, which no shell writes
NUMBER = re.compile(rb"(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n]|\Z)")  # base 0 of strtoul, then a separator
INVALID = Deny(errno.EINVAL)


def integers(low: int, high: int, count: int = 1) -> Store:
    """A store of `count` integers, each within low..high. Fewer than wanted leave the later fields as they are."""

    def store(present: bytes, written: bytes) -> bytes | Deny:
        fields = present.split()
        at = written[: PAGE_BYTES - 1].lstrip(SPACES)
        if not written:
            return present
        if not at:
            return INVALID
        for place in range(count):
            value = leading_integer(at)
            if value is None or not low <= value[0] <= high:
                return INVALID
            fields[place] = b"%d" % value[0]
            at = at[value[1]:].lstrip(SPACES)
            if not at:
                break
        return b"\t".join(fields) + b"\n"

    return store


def one_word(present: bytes, written: bytes) -> bytes | Deny:
    """A store of one of the words that `present` shows, the chosen one in brackets: sysfs_streq takes it with or without a newline."""
    chosen, shown = written.removesuffix(b"\n"), present.replace(b"[", b"").replace(b"]", b"").split()
    if not written:
        return present
    if chosen not in shown:
        return INVALID
    return b" ".join(b"[%s]" % word if word == chosen else word for word in shown) + b"\n"


def leading_integer(text: bytes) -> tuple[int, int] | None:
    """The number a text begins with, and its length; None if there is none, or another character than a separator follows."""
    found = NUMBER.match(text)
    if found is None or len(found[0]) >= NUMBER_CHARACTERS:
        return None
    sign, digits = found[1], found[2]
    base = 16 if digits[:2] in (b"0x", b"0X") else 8 if digits[:1] == b"0" else 10
    return (-1 if sign else 1) * int(digits, base), len(found[0])
