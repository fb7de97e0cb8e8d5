"""What a row of policy/table.py is made of."""
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from eci_supervisor.model.verdict import Continue, KernelCheck
from eci_supervisor.policy.arch import Abi


class Kind(Enum):
    """How a register is read before it is tested; the numbers are enum eci_register's."""

    WORD = 0
    INT = 1  # the kernel's argument is an int: the low 32 bits
    MOUNT_FLAGS = 2  # MS_MGC_VAL stripped


@dataclass(frozen=True, slots=True)
class Masked:
    """(register & mask) == value."""

    arg: int
    mask: int
    value: int
    kind: Kind = Kind.WORD


@dataclass(frozen=True, slots=True)
class TextIs:
    """The string argument is one of at most two names of at most 15 bytes. One that cannot be read is none of them."""

    arg: int
    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """The filter answers wherever the engine's profile would allow the call: nobody is asked, no event is made."""

    errno: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The filter answers, for these registers."""

    errno: int


@dataclass(frozen=True, slots=True)
class Allow:
    """The filter lets it pass where the engine's profile does, in both trap sets."""

    checks: frozenset[KernelCheck] = frozenset()


@dataclass(frozen=True, slots=True)
class Errno:
    """The C path answers."""

    errno: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A handler decides, on copies. `otherwise`: the checks that hold if the call's target is no tree of ours.

    lane: the usual form of the call is done by native/lane.c, to the same effect.
    """

    handler: str
    otherwise: frozenset[KernelCheck] = frozenset()
    lane: bool = False


@dataclass(frozen=True, slots=True)
class Sysinfo:
    """The C path writes what the container's nodes show, from the sample they are rendered from."""


Action: TypeAlias = Continue | Allow | Errno | Refuse | Ask | Sysinfo | Floor


class Only(Enum):
    """The rule of the admin's without which a row is not there; the value is its key in `syscalls`."""

    MKNOD = "mknod"
    MOUNT_TYPES = "mountTypes"
    MOUNT_SOURCES = "mountSources"
    MOUNT_TARGETS = "mountTargets"
    NAMESPACES = "namespaces"
    NESTED_DEPTH = "nestedDepth"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    when: the registers it is for; passes, traps: what the filter lets through and what it notifies in the trap set `needed`, where that
    is not simply `when`: together those of a call's rules cover every value, and they overlap only among themselves; reads: arguments
    copied for Ask, strings but for pages, a page of data, and structs, whose size is the next argument, and of a Continue descriptors of
    namespaces, which its event names; only: it is there where the admin has one of these rules, and has named `kind` in it if that is set;
    unless: it is not there where the admin has one of these.
    """

    name: str
    call: str
    action: Action
    why: str
    when: Masked | None = None
    passes: tuple[Masked, ...] = ()
    traps: tuple[Masked, ...] = ()
    text: TextIs | None = None
    reads: tuple[int, ...] = ()
    pages: tuple[int, ...] = ()
    structs: tuple[int, ...] = ()
    abis: tuple[Abi, ...] = (Abi.X86_64, Abi.I386, Abi.AARCH64, Abi.ARM)
    only: tuple[Only, ...] = ()
    unless: tuple[Only, ...] = ()
    kind: str = ""
