"""The packets to eci-mounter, and what of its face is pure."""
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.cgroup.delegate import directories
from eci_supervisor.model.emulation import Caller
from eci_supervisor.model.state import LateBind
from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from eci_supervisor.model.verdict import (
    Bind,
    Effect,
    Fsmount,
    Fsopen,
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
)
from eci_supervisor.mounts import wire
from eci_supervisor.mounts.mounter import sysctl_path, trees_of
from eci_supervisor.mounts.mountinfo import parse_mountinfo

HEADER = (Path(__file__).parents[2] / "native" / "mounter.h").read_text()
TEXT = st.binary().filter(lambda text: b"\0" not in text)


def constants(name: str) -> list[str]:
    """The members of an enum of native/mounter.h."""
    found = re.search(rf"enum {name} {{ ([^}}]*) }};", HEADER)
    assert found
    return [member.split(" = ")[0] for member in re.split(r",\s+", found[1])]


def test_enums_agree_with_the_header() -> None:
    assert constants("request_kind") == [f"REQUEST_{kind.name}" for kind in wire.Kind]
    assert constants("late") == [f"LATE_{late.name}" for late in wire.Late]
    assert constants("operation") == [*(f"OP_{operation.name}" for operation in wire.Operation), "OPERATIONS"]
    assert constants("cover") == [f"COVER_{cover.name}" for cover in Cover]
    assert constants("tree_kind") == [*(f"TREE_{kind.name}" for kind in wire.TREES), "TREES"]
    sizes = [int(size) for size in re.findall(r"sizeof\(struct (?:request|reply)\) == (\d+)", HEADER)]
    assert sizes == [wire.REQUEST.size, wire.REPLY.size]


PLAIN = (-1, 0, 0, 0, 0)  # no descriptor, no attributes


def unpacked(packet: bytes) -> tuple[tuple[int, ...], list[wire.Record]]:
    """As native/mounter.c takes a request apart."""
    header = wire.REQUEST.unpack_from(packet)
    at, records = wire.REQUEST.size, []
    for _ in range(header[5]):
        what, = wire.WHAT.unpack_from(packet, at)
        first, second, _ = packet[at + wire.WHAT.size:].split(b"\0", 2)
        records.append((what, first, second))
        at += wire.WHAT.size + len(first) + len(second) + 2
    assert at == len(packet)
    return header, records


@given(st.lists(st.tuples(st.integers(0, 9), TEXT, TEXT)))
def test_request(records: list[wire.Record]) -> None:
    header, taken = unpacked(wire.request(wire.Kind.PLAN, records, tree=1, call=2**64 - 1, flags=3, pid=4))
    assert header == (1, 1, 2**64 - 1, 3, 4, len(records), *PLAIN)
    assert taken == records


def test_options_of_a_tree_are_records() -> None:
    """As generic_parse_monolithic() splits them: at commas, empty parts and keys skipped."""
    header, records = unpacked(wire.emulate_request(MountTree(TreeKind.PROC, b"/t", 0, b",ro,,=x,gid=5,subset=,a=b=c"), Caller(3, 1, 2)))
    assert header[5] == 5
    assert records[1:] == [(0, b"ro", b""), (0, b"gid", b"=5"), (0, b"subset", b"="), (0, b"a", b"=b=c")]


def test_what_is_to_be_looked_up() -> None:
    header, records = unpacked(wire.resolve_request((Named(b"/a"), Named(b"", 0), Named(b"b", 5, follow=False)), Caller(3, 9, 10)))
    assert header == (5, 0, 9, 0, 10, 4, *PLAIN)
    assert records == [(12, b"", b""), (1, b"/a", b""), (3, b"", b""), (12, b"b", b"")]
    made = wire.emulate_request(MountNew(b"t", 0, b"o", b"s", b"tmpfs"), Caller(3, 9, 10), held=2)
    assert unpacked(made)[0] == (5, 0, 9, 0, 10, 2, -1, 2, 0, 0, 0)
    alone = [wire.emulate_request(effect, Caller(3, 9, 10), held=1, alone=True) for effect in (
        Bind(b"2", b"1", recursive=True), OpenTree(-1, b"1", 0x8001))]
    assert [unpacked(one)[0] for one in alone] == [(5, 0, 9, 0, 10, 1, -1, 1, 0, 1, 0), (5, 0, 9, 1, 10, 1, -1, 1, 0, 1, 0)]
    assert unpacked(wire.copy_request(2, Caller(3, 9, 10))) == ((5, 0, 9, 2, 10, 1, -1, 1, 0, 0, 0), [(15, b"", b"")])
    copied = wire.emulate_request(OpenTree(-1, b"1", 0x8001), Caller(3, 9, 10), held=1, copied=True)
    assert unpacked(copied)[0] == (5, 0, 9, 0x8001, 10, 1, -1, 1, 0, wire.COPIED, 0)


@pytest.mark.parametrize("record", [(0, b"a\0b", b""), (0, b"", b"\0"), (0, b"x" * wire.PACKET_MAX, b"")])
def test_what_no_packet_can_carry(record: wire.Record) -> None:
    with pytest.raises(wire.WireError):
        wire.request(wire.Kind.EMULATE, [record])


def test_each_effect_is_one_record() -> None:
    effects: dict[Effect, tuple[tuple[int, ...], wire.Record]] = {
        MountTree(TreeKind.SYSFS, b"/t", 5, b""): ((1, 5, *PLAIN), (1, b"/t", b"")),
        RemountBind(b"/t", 6): ((0, 6, *PLAIN), (2, b"/t", b"")),
        RemountSuperblock(b"/t", 7, b"ro"): ((0, 7, *PLAIN), (3, b"/t", b"ro")),
        UmountTree(b"/t", 8): ((0, 8, *PLAIN), (4, b"/t", b"")),
        Bind(b"/proc", b"/t"): ((0, 0, *PLAIN), (5, b"/t", b"/proc")),
        Bind(b"1", b"2", recursive=True): ((1, 0, *PLAIN), (5, b"2", b"1")),
        Move(b"1", b"2", 0x200): ((0, 0x200, *PLAIN), (13, b"2", b"1")),
        MakeNode(b"null", b"2"): ((0, 0, *PLAIN), (14, b"null", b"2")),
        OpenTree(7, b"t", 1): ((0, 1, 7, 0, 0, 0, 0), (6, b"t", b"")),
        OpenTree(7, b"t", 1, 9): ((0, 1, 7, 0, 9, 0, 0), (6, b"t", b"")),
        SetAttributes(-1, b"/t", 0, 1, 2, 3): ((0, 0, -1, 0, 1, 2, 3), (7, b"/t", b"")),
        Reconfigure(5): ((0, 0, 5, 0, 0, 0, 0), (8, b"", b"")),
        Fsopen(TreeKind.SYSFS, 1): ((1, 1, *PLAIN), (9, b"", b"")),
        Fsmount(5, 1, 4): ((0, 1, 5, 0, 4, 0, 0), (10, b"", b"")),
    }
    for effect, ((tree, flags, *more), record) in effects.items():
        assert unpacked(wire.emulate_request(effect, Caller(3, 9, 10))) == ((5, tree, 9, flags, 10, 1, *more), [record])


def test_a_superblock_comes_with_where_it_may_be_mounted() -> None:
    header, records = unpacked(wire.emulate_request(Reconfigure(5), Caller(3, 9, 10), (b"/proc", b"/t")))
    assert header[5] == 3
    assert records[1:] == [(0, b"/proc", b""), (0, b"/t", b"")]


def test_where_trees_are_mounted() -> None:
    assert trees_of(os.getpid())[0] in (b"/proc", b"/sys")
    assert trees_of(2**22 + 1) == ()


def test_plan_and_attach() -> None:
    plan = TreePlan(TreeKind.PROC, (Entry(b"uptime", Cover.NODE, 16), Entry(b"acpi", Cover.MASK)), read_only=True)
    assert unpacked(wire.plan_request(plan)) == ((1, 0, 0, 1, 0, 2, *PLAIN), [(2, b"uptime", b""), (3, b"acpi", b"")])
    late = [LateBind("/stage/\udcff", "/run/x")]
    records = [(0, b"/r", b""), (1, b"kernel/msgmax", b"9"), (2, b"/stage/\xff", b"/run/x")]
    assert unpacked(wire.attach_request(b"/r", late, [(b"kernel/msgmax", b"9")])) == ((3, 0, 0, 0, 0, 3, *PLAIN), records)


@given(st.binary(max_size=200))
def test_no_reply_but_its_own_error(packet: bytes) -> None:
    if len(packet) == wire.REPLY.size:
        return
    with pytest.raises(wire.WireError):
        wire.parse_reply(packet)


def test_reply() -> None:
    packet = wire.REPLY.pack(-13, wire.NOT_TREE | wire.UNDONE, 100000, 42, 7, b"ke\xffy")
    assert wire.parse_reply(packet) == wire.Reply(13, True, True, 100000, 42, 7, "ke\\xffy")


@pytest.mark.parametrize(("key", "path"), [
    (b"net.ipv4.conf.eth0/1.forwarding", b"net/ipv4/conf/eth0.1/forwarding"), (b"net/ipv4/conf/eth0.1/x", b"net/ipv4/conf/eth0.1/x"),
    (b"kernel.msgmax", b"kernel/msgmax"), (b"plain", b"plain"),
])
def test_sysctl_path(key: bytes, path: bytes) -> None:
    assert sysctl_path(key) == path


MOUNTS = parse_mountinfo(b"""30 20 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
31 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 20 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 20 0:29 /docker/x /bind rw - cgroup cgroup rw,memory
""")


def test_cgroups_that_are_given_away() -> None:
    """Never the root of a hierarchy, never through a bind of a part of one."""
    text = b"0::/c\n1:name=systemd:/c\n2:cpu,cpuacct:/c\n3:memory:/c\n4:pids:/\n5:cpuacct:/../up\n"
    assert directories(text, MOUNTS) == {
        b"/sys/fs/cgroup/unified/c": True, b"/sys/fs/cgroup/systemd/c": False, b"/sys/fs/cgroup/cpu,cpuacct/c": False}
