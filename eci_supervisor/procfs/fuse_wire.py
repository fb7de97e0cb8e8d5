"""The FUSE protocol, as far as a fixed tree of small files needs it: requests of the kernel, answers to it. Pure.

Source: include/uapi/linux/fuse.h. Every number is little-endian or big-endian as the machine is, and nothing is packed.
"""
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

HEADER: Final = Struct("=IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, extensions, padding
REPLY: Final = Struct("=IiQ")  # length, -errno, unique
INIT_IN: Final = Struct("=IIII")  # major, minor, readahead, flags; later kernels say more behind it
# Major, minor, readahead, flags, background, congestion, most written, granularity of times, pages, map alignment, more flags.
INIT_OUT: Final = Struct("=IIIIHHIIHHI28x")
OPEN_IN: Final = Struct("=II")  # flags of open(2), flags of FUSE
SETATTR_IN: Final = Struct("=I")  # what is to be set; values behind it
READ_IN: Final = Struct("=QQIIQII")  # file handle, offset, size, flags, lock owner, open flags, padding
WRITE_IN: Final = Struct("=QQIIQII")  # file handle, offset, size, flags, lock owner, open flags, padding
# Inode, size, blocks, three times, their nanoseconds, mode, links, uid, gid, device, block size, flags.
ATTRIBUTES: Final = Struct("=QQQQQQIIIIIIIIII")
ENTRY_OUT: Final = Struct("=QQQQII")  # node, generation, lives of the name and of the attributes, their nanoseconds
ATTRIBUTES_OUT: Final = Struct("=QII")  # life, its nanoseconds, padding
RELEASE_IN: Final = Struct("=Q")  # file handle; flags and lock owner behind it
POLL_IN: Final = Struct("=QQII")  # file handle, the kernel's handle, flags, events
POLL_OUT: Final = Struct("=II")  # events, padding
POLL_NOTICE: Final = Struct("=Q")  # the kernel's handle
OPEN_OUT: Final = Struct("=QII")  # file handle, flags, padding
WRITE_OUT: Final = Struct("=II")
STATFS_OUT: Final = Struct("=QQQQQIIII24x")  # blocks, free, available, files, free ones, block size, name length, fragment size, padding

MAJOR: Final = 7
MINOR: Final = 31
LEAST_READ: Final = 8192  # the kernel gives no request to who has less room
MOST_WRITTEN: Final = 4096
BIG_WRITES: Final = 1 << 5
INIT_EXT: Final = 1 << 30
DIRECT_IO_ALLOW_MMAP: Final = 1 << (36 - 32)  # of flags2; Linux 6.6
DIRECT_IO: Final = 1  # of an answer to OPEN: nothing of this file in the page cache
SET_MODE_OR_OWNER: Final = 0b111
POLL_SCHEDULE_NOTIFY: Final = 1 << 0  # of a POLL: somebody waits
NOTIFY_POLL: Final = 1  # where an answer has -errno
READ_LOCKOWNER: Final = 1 << 1  # of a READ: it is for a read(2) of our file; without it, for the page cache


class Op(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    INIT = 26
    INTERRUPT = 36
    POLL = 40
    BATCH_FORGET = 42


UNANSWERED: Final = frozenset({Op.FORGET, Op.INTERRUPT, Op.BATCH_FORGET})


@dataclass(frozen=True, slots=True)
class Request:
    """`op` may be none of Op; uid as the host counts it, pid in the pid namespace of who mounted (0: not visible there)."""

    op: int
    unique: int
    node: int
    uid: int
    pid: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Attributes:
    """Of a file or directory: its inode is its node id, its times are one."""

    inode: int
    mode: int
    size: int
    owner: int
    changed_ns: int


def request(packet: bytes) -> Request:
    _, op, unique, node, uid, _, pid, _, _ = HEADER.unpack_from(packet)
    return Request(op, unique, node, uid, pid, packet[HEADER.size:])


def answer(unique: int, body: bytes) -> bytes:
    return REPLY.pack(REPLY.size + len(body), 0, unique) + body


def refusal(unique: int, error: int) -> bytes:
    """`error` is an errno."""
    return REPLY.pack(REPLY.size, -error, unique)


def init(body: bytes) -> bytes:
    """What we take of what the kernel offers: writes of a page, and maps of files that are not cached."""
    _, minor, readahead, flags = INIT_IN.unpack_from(body)
    extended = flags & INIT_EXT
    return INIT_OUT.pack(MAJOR, min(minor, MINOR), readahead, flags & BIG_WRITES | extended, 0, 0, MOST_WRITTEN, 1, 0, 0,
                         DIRECT_IO_ALLOW_MMAP if extended else 0)


def attributes(of: Attributes) -> bytes:
    seconds, rest = divmod(of.changed_ns, 1_000_000_000)
    return ATTRIBUTES.pack(of.inode, of.size, 0, seconds, seconds, seconds, rest, rest, rest, of.mode, 1, of.owner, of.owner, 0, 4096, 0)


def entry(of: Attributes, name_life_s: int, life_s: int) -> bytes:
    return ENTRY_OUT.pack(of.inode, 0, name_life_s, life_s, 0, 0) + attributes(of)


def attributes_out(of: Attributes, life_s: int) -> bytes:
    return ATTRIBUTES_OUT.pack(life_s, 0, 0) + attributes(of)


def opening(body: bytes) -> int:
    """The flags that an OPEN has of open(2)."""
    flags, _ = OPEN_IN.unpack_from(body)
    assert isinstance(flags, int)
    return flags


def opened(handle: int) -> bytes:
    return OPEN_OUT.pack(handle, DIRECT_IO, 0)


def released(body: bytes) -> int:
    """The handle of a RELEASE."""
    (handle,) = RELEASE_IN.unpack_from(body)
    assert isinstance(handle, int)
    return handle


@dataclass(frozen=True, slots=True)
class Read:
    """`opened`: the flags the file was opened with; `cached`: it is for the page cache, which mmap, splice and sendfile go by."""

    handle: int
    offset: int
    size: int
    opened: int
    cached: bool


def read(body: bytes) -> Read:
    handle, offset, size, flags, _, opened, _ = READ_IN.unpack_from(body)
    return Read(handle, offset, size, opened, not flags & READ_LOCKOWNER)


def written(body: bytes) -> tuple[int, int, int, bytes]:
    """File handle, offset, flags the file was opened with, and bytes of a WRITE."""
    handle, offset, size, _, _, flags, _ = WRITE_IN.unpack_from(body)
    return handle, offset, flags, body[WRITE_IN.size:WRITE_IN.size + size]


def polled(body: bytes) -> tuple[int, int]:
    """File handle of a POLL, and the kernel's if somebody waits there, else 0."""
    handle, kernel_handle, flags, _ = POLL_IN.unpack_from(body)
    return handle, kernel_handle if flags & POLL_SCHEDULE_NOTIFY else 0


def poll_events(events: int) -> bytes:
    return POLL_OUT.pack(events, 0)


def poll_notice(kernel_handle: int) -> bytes:
    """No answer: what poll(2) says of that file has changed."""
    return REPLY.pack(REPLY.size + POLL_NOTICE.size, NOTIFY_POLL, 0) + POLL_NOTICE.pack(kernel_handle)


def taken(size: int) -> bytes:
    return WRITE_OUT.pack(size, 0)


def changes_mode_or_owner(body: bytes) -> bool:
    """Whether a SETATTR wants more than another size or other times."""
    (valid,) = SETATTR_IN.unpack_from(body)
    return bool(valid & SET_MODE_OR_OWNER)


def statfs() -> bytes:
    """Of no size, as procfs."""
    return STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0)
