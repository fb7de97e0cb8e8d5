"""The ABIs of system calls and the number each gives to a call. The numbers are libseccomp's.

Some facts: `data.arch` of x32 is x86-64's, the ABI is bit 30 of the number. i386 calls come from any 64-bit process by int 0x80.
"""
import os
from contextlib import suppress
from enum import Enum
from functools import cache

X32_BIT = 0x40000000
MOST_CALLS = 1024  # numbers of one ABI


class Abi(Enum):
    """One calling convention; the value is the name that events and documents use."""

    X86_64 = "x86_64"
    I386 = "i386"
    X32 = "x32"
    AARCH64 = "aarch64"
    ARM = "arm"


# AUDIT_ARCH_* of linux/audit.h, SCMP_ARCH_* as the OCI spec writes them.
AUDIT_ARCH = {
    Abi.X86_64: 0xC000003E, Abi.X32: 0xC000003E, Abi.I386: 0x40000003,
    Abi.AARCH64: 0xC00000B7, Abi.ARM: 0x40000028,
}
OCI_NAME = {
    Abi.X86_64: "SCMP_ARCH_X86_64", Abi.I386: "SCMP_ARCH_X86", Abi.X32: "SCMP_ARCH_X32",
    Abi.AARCH64: "SCMP_ARCH_AARCH64", Abi.ARM: "SCMP_ARCH_ARM",
}
# The first is the machine's own. What a filter does not list is killed by SIGSYS.
ABIS_OF_MACHINE = {"x86_64": (Abi.X86_64, Abi.I386, Abi.X32), "aarch64": (Abi.AARCH64, Abi.ARM)}


def machine_abis() -> tuple[Abi, ...]:
    """The ABIs this machine runs; KeyError where it is none we decode."""
    return ABIS_OF_MACHINE[os.uname().machine]


def abi_of(arch: int, nr: int) -> Abi | None:
    """The ABI of a notification."""
    if arch == AUDIT_ARCH[Abi.X86_64]:
        return Abi.X32 if nr & X32_BIT else Abi.X86_64
    return next((abi for abi, audit in AUDIT_ARCH.items() if audit == arch), None)


@cache
def known_calls() -> tuple[str, ...]:
    """The calls of this machine's ABIs that the installed libseccomp has a name for."""
    import pyseccomp

    found = set()
    for abi in machine_abis():
        for nr in range(MOST_CALLS):
            with suppress(ValueError):
                found.add(os.fsdecode(pyseccomp.resolve_syscall(_arch(abi), nr)))
    return tuple(sorted(found))


def _arch(abi: Abi) -> int:
    """libseccomp's number of an ABI."""
    # Imported here: create compiles profiles, which are by name, and shall not load libseccomp for it.
    import pyseccomp

    found: dict[Abi, int] = {
        Abi.X86_64: pyseccomp.Arch.X86_64, Abi.I386: pyseccomp.Arch.X86, Abi.X32: pyseccomp.Arch.X32,
        Abi.AARCH64: pyseccomp.Arch.AARCH64, Abi.ARM: pyseccomp.Arch.ARM,
    }
    return found[abi]


@cache
def number(abi: Abi, call: str) -> int | None:
    """The number of `call`, or None where the ABI or the installed libseccomp has no such call."""
    import pyseccomp

    try:
        nr = int(pyseccomp.resolve_syscall(_arch(abi), call))
    except (ValueError, OSError):
        return None
    return nr if nr >= 0 else None  # libseccomp gives a negative number to a call that another ABI has
