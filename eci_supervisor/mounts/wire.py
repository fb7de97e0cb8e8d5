"""The packets between the supervisor and eci-mounter: native/mounter.h says the same, and both sides check the sizes.

A request is a header and `count` records of two NUL-terminated strings; a reply has one size. Numbers are the machine's own: both ends
are one build on one machine.
"""
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, assert_never

from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import TreeKind, TreePlan
from eci_supervisor.model.verdict import Effect, MountTree, RemountBind, RemountSuperblock, UmountTree

REQUEST: Final = struct.Struct("=IIQQII")
RECORD: Final = struct.Struct("=III")
REPLY: Final = struct.Struct("=iIII48s")
PACKET_MAX: Final = 128 * 1024
NOT_TREE: Final = 1
UNDONE: Final = 2


class Kind(IntEnum):
    """enum request_kind."""

    PLAN = 1
    CONTAINER = 2
    SYSCTLS = 3
    ATTACH = 4
    PROVE = 5
    EMULATE = 6


class Operation(IntEnum):
    """enum operation."""

    MOUNT_TREE = 1
    REMOUNT_BIND = 2
    REMOUNT_SUPERBLOCK = 3
    UMOUNT_TREE = 4


TREES: Final = (TreeKind.PROC, TreeKind.SYSFS)  # enum tree_kind is the index


class WireError(ValueError):
    """A request that cannot be put into a packet: a NUL in a string, or too much of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """error: 0 or an errno; what: what the error is about; uid, pid: the caller's host ids, 0 if it was gone before they were read."""

    error: int
    not_tree: bool
    undone: bool
    uid: int
    pid: int
    what: str


Record = tuple[int, bytes, bytes]


def request(kind: Kind, records: Sequence[Record] = (), *, tree: int = 0, call: int = 0, flags: int = 0, pid: int = 0) -> bytes:
    """One packet. Raises WireError."""
    parts = [REQUEST.pack(kind, tree, call, flags, pid, len(records))]
    for what, first, second in records:
        if b"\0" in first or b"\0" in second:
            raise WireError(f"a NUL in {first + second!r}")
        parts += [RECORD.pack(what, len(first) + 1, len(second) + 1), first, b"\0", second, b"\0"]
    packet = b"".join(parts)
    if len(packet) > PACKET_MAX:
        raise WireError(f"a packet of {len(packet)} bytes")
    return packet


def plan_request(plan: TreePlan) -> bytes:
    records = [(entry.cover.value, entry.path, b"") for entry in plan.entries]
    return request(Kind.PLAN, records, tree=TREES.index(plan.kind), flags=int(plan.read_only))


def attach_request(rootfs: bytes, late: Sequence[LateBind], cgroup: bool) -> bytes:
    binds = [(0, bind.staged.encode(errors="surrogateescape"), bind.destination.encode(errors="surrogateescape")) for bind in late]
    return request(Kind.ATTACH, [(0, rootfs, b""), *binds], flags=int(cgroup))


def emulate_request(effect: Effect, call: int, tid: int) -> bytes:
    """`call` is the notification id, `tid` the caller's thread in our pid namespace."""
    match effect:
        case MountTree(kind, target, flags, options):
            record, tree = (Operation.MOUNT_TREE, target, options), TREES.index(kind)
        case RemountBind(target, flags):
            record, tree = (Operation.REMOUNT_BIND, target, b""), 0
        case RemountSuperblock(target, flags, options):
            record, tree = (Operation.REMOUNT_SUPERBLOCK, target, options), 0
        case UmountTree(target, flags):
            record, tree = (Operation.UMOUNT_TREE, target, b""), 0
        case _:
            assert_never(effect)
    return request(Kind.EMULATE, [record], tree=tree, call=call, flags=flags, pid=tid)


def parse_reply(packet: bytes) -> Reply:
    """Raises WireError for any other size."""
    if len(packet) != REPLY.size:
        raise WireError(f"a reply of {len(packet)} bytes")
    error, flags, uid, pid, what = REPLY.unpack(packet)
    return Reply(-error, bool(flags & NOT_TREE), bool(flags & UNDONE), uid, pid, what.split(b"\0")[0].decode(errors="backslashreplace"))
