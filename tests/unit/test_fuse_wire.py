"""The FUSE protocol: sizes as the kernel's header has them, and each answer read back as the kernel would."""
import os
import stat
import struct

import pytest

from eci_supervisor.procfs import fuse_wire, tree
from eci_supervisor.procfs.fuse_wire import Attributes, Op
from eci_supervisor.procfs.tunable_files import child

OF = Attributes(64, stat.S_IFREG | 0o644, 2, 100000, 1_700_000_000_000_000_005)


@pytest.mark.parametrize(("layout", "size"), [  # sizeof of include/uapi/linux/fuse.h
    (fuse_wire.HEADER, 40), (fuse_wire.REPLY, 16), (fuse_wire.INIT_OUT, 64), (fuse_wire.READ_IN, 40), (fuse_wire.WRITE_IN, 40),
    (fuse_wire.ATTRIBUTES, 88), (fuse_wire.ENTRY_OUT, 40), (fuse_wire.ATTRIBUTES_OUT, 16), (fuse_wire.OPEN_OUT, 16),
    (fuse_wire.WRITE_OUT, 8), (fuse_wire.POLL_IN, 24), (fuse_wire.POLL_OUT, 8), (fuse_wire.STATFS_OUT, 80),
])  # fmt: skip
def test_sizes(layout: struct.Struct, size: int) -> None:
    assert layout.size == size


def test_a_request() -> None:
    packet = struct.pack("=IIQQIIIHH", 45, Op.LOOKUP, 9, 1, 100000, 100001, 77, 0, 0) + b"proc\0"
    assert fuse_wire.request(packet) == fuse_wire.Request(Op.LOOKUP, 9, 1, 100000, 77, b"proc\0")


def test_answers_and_refusals() -> None:
    assert struct.unpack("=IiQ", fuse_wire.answer(9, b"text")[:16]) == (20, 0, 9)
    assert struct.unpack("=IiQ", fuse_wire.refusal(9, 22)) == (16, -22, 9)


def test_init_takes_what_is_offered() -> None:
    offered = fuse_wire.BIG_WRITES | fuse_wire.INIT_EXT
    major, minor, _, flags, *_, flags2 = fuse_wire.INIT_OUT.unpack(fuse_wire.init(struct.pack("=IIIII44x", 7, 45, 4096, offered, 0)))
    assert (major, minor, flags, flags2) == (7, 31, offered, fuse_wire.DIRECT_IO_ALLOW_MMAP)
    *_, flags, _, _, most, _, _, _, flags2 = fuse_wire.INIT_OUT.unpack(fuse_wire.init(struct.pack("=IIII", 7, 27, 0, 0)))
    assert (flags, most, flags2) == (0, 4096, 0)


def test_attributes() -> None:
    node, _, name_life, life, *_ = fuse_wire.ENTRY_OUT.unpack_from(entry := fuse_wire.entry(OF, 10, 0))
    inode, size, _, seconds, *_ = fuse_wire.ATTRIBUTES.unpack_from(entry, fuse_wire.ENTRY_OUT.size)
    assert (node, inode, name_life, life, size, seconds) == (64, 64, 10, 0, 2, 1_700_000_000)


def test_an_open_tells_how() -> None:
    assert fuse_wire.opening(struct.pack("=II", os.O_WRONLY | os.O_APPEND, 1)) == os.O_WRONLY | os.O_APPEND


def test_a_read_tells_whom_it_is_for() -> None:
    for_a_caller = struct.pack("=QQIIQII", 8, 5, 100, fuse_wire.READ_LOCKOWNER, 1, os.O_RDWR, 0)
    assert fuse_wire.read(for_a_caller) == fuse_wire.Read(8, 5, 100, os.O_RDWR, cached=False)
    assert fuse_wire.read(struct.pack("=QQIIQII", 0, 0, 4096, 0, 0, 0, 0)).cached


def test_a_write() -> None:
    assert fuse_wire.written(struct.pack("=QQIIQII", 5, 3, 2, 0, 0, os.O_APPEND, 0) + b"7\nrest") == (5, 3, os.O_APPEND, b"7\n")


def test_a_poll_tells_whether_somebody_waits() -> None:
    assert fuse_wire.polled(struct.pack("=QQII", 5, 77, fuse_wire.POLL_SCHEDULE_NOTIFY, 2)) == (5, 77)
    assert fuse_wire.polled(struct.pack("=QQII", 5, 77, 0, 2)) == (5, 0)
    assert struct.unpack("=IiQQ", fuse_wire.poll_notice(77)) == (24, fuse_wire.NOTIFY_POLL, 0, 77)
    assert fuse_wire.poll_events(0x145) == struct.pack("=II", 0x145, 0)


def test_a_setattr_of_size_or_times_is_none_of_mode_or_owner() -> None:
    assert not fuse_wire.changes_mode_or_owner(struct.pack("=I84x", 0b111000))
    assert all(fuse_wire.changes_mode_or_owner(struct.pack("=I84x", bit)) for bit in (1, 2, 4))


def test_a_child_of_a_directory() -> None:
    assert child(1, b"proc\0") == tree.PROC.inode
    assert child(1, b"no\0") == child(16, b"x\0") == 0
