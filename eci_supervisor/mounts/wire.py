"""The packets between the supervisor and eci-mounter: native/mounter.h says the same, and both sides check the sizes.

A request is a header and `count` records of two NUL-terminated strings; a reply has one size. Numbers are the machine's own: both ends
are one build on one machine.
"""
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, assert_never

from eci_supervisor.model.emulation import Caller
from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import TreeKind, TreePlan
from eci_supervisor.model.verdict import (
    Bind,
    ByDescriptor,
    ByPath,
    Effect,
    Fsmount,
    Fsopen,
    FsopenOf,
    MakeNode,
    MountNew,
    MountTree,
    Move,
    Named,
    OpenTree,
    Reconfigure,
    RemountBind,
    RemountSuperblock,
    SetAttributes,
    UmountTree,
    in_itself,
)

REQUEST: Final = struct.Struct("=IIQQIIiIQQQ")
WHAT: Final = struct.Struct("=I")
REPLY: Final = struct.Struct("=iIIIQ48s")
PACKET_MAX: Final = 128 * 1024
NOT_TREE: Final = 1
UNDONE: Final = 2
COPIED: Final = 0xffff


class Kind(IntEnum):
    """enum request_kind."""

    PLAN = 1
    CONTAINER = 2
    ATTACH = 3
    PROVE = 4
    EMULATE = 5


class Late(IntEnum):
    """enum late: the records of an ATTACH."""

    SYSCTL = 1
    BIND = 2


class Operation(IntEnum):
    """enum operation."""

    MOUNT_TREE = 1
    REMOUNT_BIND = 2
    REMOUNT_SUPERBLOCK = 3
    UMOUNT_TREE = 4
    BIND = 5
    OPEN_TREE = 6
    SET_ATTRIBUTES = 7
    RECONFIGURE = 8
    FSOPEN = 9
    FSMOUNT = 10
    MOUNT_NEW = 11
    RESOLVE = 12
    MOVE = 13
    MAKE_NODE = 14
    COPY = 15


FOLLOW: Final = 1
OF_CALLER: Final = 2

TREES: Final = (TreeKind.PROC, TreeKind.SYSFS)  # enum tree_kind is the index


class WireError(ValueError):
    """A request that cannot be put into a packet: a NUL in a string, or too much of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """error: 0 or an errno; what: what the error is about; uid, pid: the caller's host ids, 0 if it was gone before they were read.

    mount_id: of the mount that was made, by this call or the one it repeats, and stands.
    """

    error: int
    not_tree: bool
    undone: bool
    uid: int
    pid: int
    mount_id: int
    what: str


Record = tuple[int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Attributes:
    """fd: a descriptor of the caller, -1 for none; the rest is of struct mount_attr, fsmount(2) has a `set` alone.

    set of a mount: the id of what the same call has made before; clear of one: 1, it is copied alone; 1 + the errno if that is EINVAL.
    """

    fd: int = -1
    set: int = 0
    clear: int = 0
    propagation: int = 0


NO_ATTRIBUTES: Final = Attributes()


def request(
    kind: Kind, records: Sequence[Record] = (), *, tree: int = 0, call: int = 0, flags: int = 0, pid: int = 0,
    more: Attributes = NO_ATTRIBUTES, held: int = 0,
) -> bytes:
    """One packet. Raises WireError."""
    parts = [REQUEST.pack(kind, tree, call, flags, pid, len(records), more.fd, held, more.set, more.clear, more.propagation)]
    for what, first, second in records:
        if b"\0" in first or b"\0" in second:
            raise WireError(f"a NUL in {first + second!r}")
        parts += [WHAT.pack(what), first, b"\0", second, b"\0"]
    packet = b"".join(parts)
    if len(packet) > PACKET_MAX:
        raise WireError(f"a packet of {len(packet)} bytes")
    return packet


def plan_request(plan: TreePlan) -> bytes:
    records = [(entry.cover.value, entry.path, b"") for entry in plan.entries]
    return request(Kind.PLAN, records, tree=TREES.index(plan.kind), flags=int(plan.read_only))


def attach_request(rootfs: bytes, late: Sequence[LateBind], sysctls: Sequence[tuple[bytes, bytes]]) -> bytes:
    """sysctls: by path."""
    values = [(Late.SYSCTL, path, value) for path, value in sysctls]
    binds = [(Late.BIND, bind.staged.encode(errors="surrogateescape"), bind.destination.encode(errors="surrogateescape")) for bind in late]
    return request(Kind.ATTACH, [(0, rootfs, b""), *values, *binds])


def resolve_request(names: Sequence[Named], caller: Caller) -> bytes:
    """What these names lead to is to be held for the caller's next request."""
    records = [(Operation.RESOLVE, b"", b""), *((_start(name), name.path, b"") for name in names)]
    return request(Kind.EMULATE, records, call=caller.id, pid=caller.tid)


def copy_request(number: int, caller: Caller) -> bytes:
    """Of what is held, its recursive copy is to be held instead."""
    return request(Kind.EMULATE, [(Operation.COPY, b"", b"")], call=caller.id, flags=number, pid=caller.tid, held=1)


def _start(name: Named) -> int:
    return FOLLOW * name.follow | OF_CALLER * (name.directory + 1)


def emulate_request(
    effect: Effect, caller: Caller, trees: Sequence[bytes] = (), held: int = 0, *, alone: bool = False, below: int = 0,
    copied: bool = False,
) -> bytes:
    """`trees`: where its superblock may be mounted; held: 1 where its paths say what is held, 1 + errno if that is the answer.

    alone: what is copied is one mount, whatever the call says; below: the errno where the kernel does not, for what is mounted below.
    copied: what is held as the source is the copy.
    """
    if alone:
        effect = in_itself(effect)
    operation, first, second, tree, flags, more = _operation(effect) if isinstance(effect, ByPath) else _by_descriptor(effect)
    if caller.made:
        more = Attributes(set=caller.made)
    if alone or copied:
        more = replace(more, clear=COPIED if copied else 1 + below)
    records = [(operation, first, second), *_others(effect, trees)]
    return request(Kind.EMULATE, records, tree=tree, call=caller.id, flags=flags, pid=caller.tid, more=more, held=held)


def _others(effect: Effect, trees: Sequence[bytes]) -> list[Record]:
    match effect:
        case MountNew(source=source, fstype=fstype):
            return [(0, source, fstype)]
        case MountTree(options=options):
            return [(0, key, equals + value) for key, equals, value in (part.partition(b"=") for part in options.split(b",")) if key]
        case _:
            return [(0, path, b"") for path in trees]


Parts = tuple[Operation, bytes, bytes, int, int, Attributes]  # operation, both strings, tree, flags, the rest


def _operation(effect: ByPath) -> Parts:
    match effect:
        case MountTree(kind, target, flags):
            return Operation.MOUNT_TREE, target, b"", TREES.index(kind), flags, NO_ATTRIBUTES
        case RemountBind(target, flags):
            return Operation.REMOUNT_BIND, target, b"", 0, flags, NO_ATTRIBUTES
        case RemountSuperblock(target, flags, options):
            return Operation.REMOUNT_SUPERBLOCK, target, options, 0, flags, NO_ATTRIBUTES
        case UmountTree(target, flags):
            return Operation.UMOUNT_TREE, target, b"", 0, flags, NO_ATTRIBUTES
        case MountNew(target, flags, options, device=device):
            return Operation.MOUNT_NEW, target, options, 0, flags, Attributes(device)
        case Bind(source, target, recursive):
            return Operation.BIND, target, source, int(recursive), 0, NO_ATTRIBUTES
        case Move(source, target, flags):
            return Operation.MOVE, target, source, 0, flags, NO_ATTRIBUTES
        case MakeNode(name, node):
            return Operation.MAKE_NODE, name, node, 0, 0, NO_ATTRIBUTES
        case _:
            assert_never(effect)


def _by_descriptor(effect: ByDescriptor) -> Parts:
    match effect:
        case OpenTree(directory, path, flags, to_set):
            return Operation.OPEN_TREE, path, b"", 0, flags, Attributes(directory, to_set)
        case SetAttributes(directory, path, flags, to_set, to_clear, propagation):
            return Operation.SET_ATTRIBUTES, path, b"", 0, flags, Attributes(directory, to_set, to_clear, propagation)
        case Reconfigure(context):
            return Operation.RECONFIGURE, b"", b"", 0, 0, Attributes(context)
        case Fsopen(kind, flags):
            return Operation.FSOPEN, b"", b"", TREES.index(kind), flags, NO_ATTRIBUTES
        case FsopenOf(name, flags):
            return Operation.FSOPEN, name, b"", 0, flags, NO_ATTRIBUTES
        case Fsmount(context, flags, to_set):
            return Operation.FSMOUNT, b"", b"", 0, flags, Attributes(context, to_set)
        case _:
            assert_never(effect)


def parse_reply(packet: bytes) -> Reply:
    """Raises WireError for any other size."""
    if len(packet) != REPLY.size:
        raise WireError(f"a reply of {len(packet)} bytes")
    error, flags, uid, pid, mount_id, what = REPLY.unpack(packet)
    text = what.split(b"\0")[0].decode(errors="backslashreplace")
    return Reply(-error, bool(flags & NOT_TREE), bool(flags & UNDONE), uid, pid, mount_id, text)
