"""Handlers: copies in, the verdict the kernel's order of errors asks for out."""
import dataclasses
import struct
from errno import EBADF, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, EPERM

import pytest

from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.notification import Call, Text
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import (
    Bind,
    Continue,
    Deny,
    DenyType,
    Emulate,
    Fsmount,
    Fsopen,
    FsopenOf,
    Judged,
    KernelCheck,
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
    Verdict,
)
from eci_supervisor.policy.rule import Ask
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.handlers import decide as decide_by

INDEX = {rule.name: number for number, rule in enumerate(RULES)}
PROC = {0: Text(b"proc"), 1: Text(b"/t"), 2: Text(b"proc"), 4: Text(b"hidepid=2")}
NULL = Text(b"", 0, null=True)


def call(rule: str, texts: dict[int, Text], *args: int) -> Call:
    first, second, third, fourth = (*args, 0, 0, 0, 0)[:4]
    return Call(
        id=1, tid=2, arch=0xC000003E, nr=165, args=(first, second, third, fourth, 0, 0), ip=3, rule=INDEX[rule], texts=texts, received_ns=4)


def decide(made: Call, rules: CallRules = NO_RULES) -> Verdict:
    return decide_by(made, rules)


def test_a_new_procfs_is_made_by_us_and_never_continued() -> None:
    verdict = decide(call("mount.new_tree", PROC, 0, 0, 0, 0xC0ED0001))
    assert verdict == Emulate(MountTree(TreeKind.PROC, b"/t", 1, b"hidepid=2"))


def test_a_new_sysfs() -> None:
    verdict = decide(call("mount.new_tree", PROC | {2: Text(b"sysfs")}, 0, 0, 0, 8))
    assert verdict == Emulate(MountTree(TreeKind.SYSFS, b"/t", 8, b"hidepid=2"))


def test_remounts_say_what_holds_where_no_tree_is_concerned() -> None:
    assert decide(call("mount.remount_bind", PROC, 0, 0, 0, 0x1021)) == Emulate(RemountBind(b"/t", 0x1021), frozenset({KernelCheck.LOCK}))
    assert decide(call("mount.remount", PROC, 0, 0, 0, 0x20)) == Emulate(
        RemountSuperblock(b"/t", 0x20, b"hidepid=2"), frozenset({KernelCheck.LOCK, KernelCheck.OWNER}))


def test_umounts() -> None:
    otherwise = frozenset({KernelCheck.LOCK})
    assert decide(call("umount2.tree", {0: Text(b"/t")}, 0, 0xFFFFFFFF00000008)) == Emulate(UmountTree(b"/t", 8), otherwise)
    assert decide(call("umount.tree", {0: Text(b"/t")}, 0, 99)) == Emulate(UmountTree(b"/t", 0), otherwise)


@pytest.mark.parametrize(("texts", "errno"), [
    ({2: Text(b"", EFAULT), 0: Text(b"", EFAULT)}, EFAULT),
    ({2: Text(b"x" * 4096, ENAMETOOLONG), 0: Text(b"", EFAULT)}, EINVAL),
    ({0: Text(b"x" * 4096, ENAMETOOLONG), 1: NULL}, EINVAL),
    ({0: Text(b"", EFAULT), 4: Text(b"", EFAULT)}, EFAULT),
    ({4: Text(b"", EFAULT), 1: Text(b"")}, EFAULT),
    ({1: Text(b"")}, ENOENT), ({1: NULL}, EFAULT), ({1: Text(b"/x", EFAULT)}, EFAULT), ({1: Text(b"/" * 4096, ENAMETOOLONG)}, ENAMETOOLONG),
])  # fmt: skip
@pytest.mark.parametrize("rule", ["mount.new_tree", "mount.remount", "mount.remount_bind"])
def test_the_first_bad_string_is_the_errno(rule: str, texts: dict[int, Text], errno: int) -> None:
    assert decide(call(rule, PROC | texts)) == Deny(errno)


def test_null_is_no_string_and_no_error_but_for_the_path() -> None:
    assert isinstance(decide(call("mount.remount", {0: NULL, 1: Text(b"/t"), 2: NULL, 4: NULL})), Emulate)


@pytest.mark.parametrize(("text", "errno"), [(Text(b""), ENOENT), (NULL, EFAULT), (Text(b"a" * 4096, ENAMETOOLONG), ENAMETOOLONG)])
def test_a_bad_path_to_umount(text: Text, errno: int) -> None:
    assert decide(call("umount2.tree", {0: text})) == Deny(errno)


LOCK = frozenset({KernelCheck.LOCK})
READ_ONLY = struct.pack("=QQQQ", 1, 0, 0, 0)


def test_a_plain_bind_is_ours_where_the_kernel_would_refuse_it() -> None:
    assert decide(call("mount.bind", PROC | {0: Text(b"/s")}, 0, 0, 0, 0x1000)) == Emulate(Bind(b"/s", b"/t"), LOCK)


@pytest.mark.parametrize(("directory", "path", "flags", "start"), [
    (0xFFFFFF9C, b"/t", 1, (-1, b"/t")), (0xFFFFFF9C, b"t", 1, (-1, b"t")), (7, b"t", 1, (7, b"t")), (7, b"/t", 1, (-1, b"/t")),
    (7, b"", 0x1001, (7, b".")), (0xFFFFFF9C, b"", 0x1001, (-1, b".")), (7, b"", 1, None), (0xFFFFFFFF, b"t", 1, None), (7, b"t", 3, None),
])
def test_where_open_tree_starts(directory: int, path: bytes, flags: int, start: tuple[int, bytes] | None) -> None:
    verdict = decide(call("open_tree.clone", {1: Text(path)}, directory, 0, flags))
    assert verdict == (Continue(LOCK) if start is None else Emulate(OpenTree(*start, flags), LOCK))


@pytest.mark.parametrize(("flags", "size", "attributes", "ours"), [
    (0, 32, Text(READ_ONLY), True), (0x100, 40, Text(READ_ONLY + bytes(8)), True), (0, 40, Text(READ_ONLY + b"\1" * 8), False),
    (0, 31, Text(READ_ONLY), False), (0, 2**62, Text(READ_ONLY), False), (0, 32, Text(b"", EFAULT), False), (0, 32, NULL, False),
    (0, 32, Text(struct.pack("=QQQQ", 2, 0, 0, 0)), False), (0, 32, Text(struct.pack("=QQQQ", 0x100001, 0, 0, 5)), False),
    (1 << 30, 32, Text(READ_ONLY), False),
])
def test_attributes_that_nodes_must_follow(flags: int, size: int, attributes: Text, ours: bool) -> None:
    asked = call("mount_setattr", {1: Text(b"/t"), 3: attributes}, 0xFFFFFF9C, 0, flags, 0)
    asked = dataclasses.replace(asked, args=(*asked.args[:4], size, 0))
    assert decide(asked) == (Emulate(SetAttributes(-1, b"/t", flags, 1, 0, 0), LOCK) if ours else Continue(LOCK))


@pytest.mark.parametrize(("flags", "attributes", "to_set"), [
    (1, (1, 0, 0, 0), 1), (1, (0xF, 0, 0, 0), 0xF), (1, (0, 0, 0, 0), 0), (1, (1, 2, 0, 0), None), (1, (0x10, 0, 0, 0), None),
    (1, (1, 0, 1 << 18, 0), None), (1, (0x100000, 0, 0, 5), None), (1 << 30 | 1, (1, 0, 0, 0), None),
])
def test_a_clone_with_flags_of_its_own(flags: int, attributes: tuple[int, ...], to_set: int | None) -> None:
    asked = call("open_tree_attr.clone", {1: Text(b"/t"), 3: Text(struct.pack("=QQQQ", *attributes))}, 0xFFFFFF9C, 0, flags, 0)
    asked = dataclasses.replace(asked, args=(*asked.args[:4], 32, 0))
    assert decide(asked) == (Continue(LOCK) if to_set is None else Emulate(OpenTree(-1, b"/t", flags, to_set), LOCK))


def test_contexts() -> None:
    otherwise = frozenset({KernelCheck.TYPE, KernelCheck.REVEAL})
    assert decide(call("fsopen.tree", {0: Text(b"proc")}, 0, 1)) == Emulate(Fsopen(TreeKind.PROC, 1), otherwise)
    assert decide(call("fsopen.tree", {0: Text(b"proc")}, 0, 2)) == Continue(otherwise)
    assert decide(call("fsmount", {}, 0xFFFFFFFF, 1, 4)) == Emulate(Fsmount(-1, 1, 4), frozenset({KernelCheck.REVEAL}))
    assert decide(call("fsconfig.reconfigure", {}, 5, 7)) == Emulate(Reconfigure(5))
    assert decide(call("fsconfig.reconfigure", {}, 0xFFFFFFFF, 7)) == decide(call("fsconfig.reconfigure", {}, 5, 7, 1)) == Deny(EINVAL)


def test_a_rule_that_asks_nobody_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="asks no handler"):
        decide(call("sysinfo", {}))


def test_whatever_is_asked_has_its_strings_copied() -> None:
    asked = [rule for rule in RULES if isinstance(rule.action, Ask)]
    assert {(rule.call, rule.reads) for rule in asked} == {
        ("mount", (0, 1, 2, 4)), ("umount2", (0,)), ("umount", (0,)), ("open_tree", (1,)), ("open_tree_attr", (1, 3)),
        ("mount_setattr", (1, 3)), ("fsconfig", ()), ("fsopen", (0,)), ("fsmount", ()), ("unshare", ()), ("clone", ()),
        ("move_mount", (1, 3)), ("mknod", (0,)), ("mknodat", (1,))}


NO_OVERLAY = CallRules(mount_types=MountTypes(types=("overlay", "proc")))
NO_FUSE, NOT_SRV = CallRules(mount_types=MountTypes(types=("fuse",))), CallRules(mount_sources=("/srv",))
ONLY_TMPFS = CallRules(mount_types=MountTypes(allow=True, types=("tmpfs", "fuse")))


def new(fstype: bytes, options: bytes = b"") -> Call:
    return call("mount.type", {0: Text(b"source"), 1: Text(b"/t"), 2: Text(fstype), 4: Text(options)}, 0, 0, 0, 0xC0ED0001)


@pytest.mark.parametrize(("rules", "fstype", "denied"), [
    (NO_OVERLAY, b"overlay", True), (NO_OVERLAY, b"proc", True), (NO_OVERLAY, b"overlay.x", True), (NO_OVERLAY, b"tmpfs", False),
    (NO_OVERLAY, b"nosuch", False), (ONLY_TMPFS, b"tmpfs", False), (ONLY_TMPFS, b"fuse.sshfs", False), (ONLY_TMPFS, b"ramfs", True),
    (ONLY_TMPFS, b"sysfs", True), (ONLY_TMPFS, b"\xff", True),
])  # fmt: skip
def test_a_rule_for_types_judges_the_copy_and_has_it_mounted(rules: CallRules, fstype: bytes, denied: bool) -> None:
    made = Judged(MountNew(b"self/fd/513", 1, b"o", b"source", fstype), (Named(b"/t"),), targets=(1,))
    assert decide(new(fstype, b"o"), rules) == (DenyType(fstype) if denied else made)
    given = Emulate(FsopenOf(fstype, 1))
    assert decide(call("fsopen.type", {0: Text(fstype)}, 0, 1), rules) == (DenyType(fstype) if denied else given)


def test_a_tree_stays_a_tree_under_a_rule_for_types() -> None:
    others = CallRules(mount_types=MountTypes(types=("overlay",)))
    assert decide(new(b"proc"), others) == Emulate(MountTree(TreeKind.PROC, b"/t", 1, b""))
    assert decide(call("fsopen.type", {0: Text(b"sysfs")}, 0, 1), others) == Emulate(Fsopen(TreeKind.SYSFS, 1))


def test_nothing_is_continued_that_memory_decides_under_a_rule_for_types() -> None:
    assert decide(call("fsopen.type", {0: Text(b"", EFAULT)}, 0, 1), NO_OVERLAY) == Deny(EFAULT)
    assert decide(call("fsopen.type", {0: Text(b"a" * 4096, ENAMETOOLONG)}, 0, 1), NO_OVERLAY) == Deny(EINVAL)
    assert decide(call("fsopen.type", {0: NULL}, 0, 0), NO_OVERLAY) == Deny(EFAULT)
    assert isinstance(decide(call("fsopen.type", {0: Text(b"overlay")}, 0, 2), NO_OVERLAY), Continue)  # EINVAL, by register
    assert decide(call("mount.type", PROC | {2: Text(b"", EFAULT)}), NO_OVERLAY) == Deny(EFAULT)
    assert isinstance(decide(call("mount.type", PROC | {2: NULL}), NO_OVERLAY), Continue)  # the same


@pytest.mark.parametrize(("rules", "options", "rewritten", "layers"), [
    (NO_FUSE, b"lowerdir=/a:/b::/c,upperdir=/u,workdir=/w,userxattr", b"lowerdir=/a:/b::/c,upperdir=/u,workdir=/w,userxattr", []),
    (NO_FUSE, b"lowerdir=/a:b,upperdir=u", b"lowerdir=/a:self/fd/514,upperdir=self/fd/515", [b"b", b"u"]),
    (NOT_SRV, b"ro,lowerdir=/a:b::/c", b"ro,lowerdir=self/fd/514:self/fd/515::self/fd/516", [b"/a", b"b", b"/c"]),
    (NOT_SRV, b"lowerdir+=/a,datadir+=d", b"lowerdir+=self/fd/514,datadir+=self/fd/515", [b"/a", b"d"]),
])  # fmt: skip
def test_layers_of_an_overlay_are_looked_up_where_the_caller_stands(
        rules: CallRules, options: bytes, rewritten: bytes, layers: list[bytes]) -> None:
    verdict = decide(new(b"overlay", options), rules)
    numbers = tuple(range(2, 2 + len(layers)))
    assert verdict == Judged(MountNew(b"self/fd/513", 1, rewritten, b"source", b"overlay"), (Named(b"/t"), *map(Named, layers)),
                             sources=numbers, targets=(1,))


@pytest.mark.parametrize(("fstype", "options", "rewritten", "device"), [
    (b"fuse", b"fd=7,rootmode=40000", b"fd=512,rootmode=40000", 7), (b"fuse.sshfs", b"ro,fd=1,fd=12", b"ro,fd=512,fd=512", 12),
    (b"fuse", b"rootmode=40000", b"rootmode=40000", -1), (b"tmpfs", b"fd=7", b"fd=7", -1),
])  # fmt: skip
def test_the_device_of_a_fuse_server_is_fetched(fstype: bytes, options: bytes, rewritten: bytes, device: int) -> None:
    assert decide(new(fstype, options), NO_OVERLAY) == Judged(
        MountNew(b"self/fd/513", 1, rewritten, b"source", fstype, device), (Named(b"/t"),), targets=(1,))
    assert decide(new(b"fuse", b"fd=-1"), NO_OVERLAY) == Deny(EINVAL)


@pytest.mark.parametrize("options", [b"lowerdir=a\\:b", b"lowerdir=" + b":".join([b"a"] * 400)])
def test_layers_that_cannot_be_looked_up(options: bytes) -> None:
    assert decide(new(b"overlay", options), NOT_SRV) == Deny(EPERM)
    assert decide(call("fsopen.type", {0: Text(b"overlay")}, 0, 1), NOT_SRV) == Deny(EPERM)  # they would come one by one


BIND, AT_FDCWD = {0: Text(b"/s"), 1: Text(b"/t"), 2: NULL, 4: NULL}, (1 << 64) - 100


def test_binds_and_moves_under_a_rule() -> None:
    """Whatever is wrong with a string by its copy is the answer: nothing is continued."""
    assert decide(call("mount.bind_judged", BIND, 0, 0, 0, 0x5000), NOT_SRV) == Judged(
        Bind(b"2", b"1", recursive=True), (Named(b"/t"), Named(b"/s")), sources=(2,), targets=(1,))
    assert decide(call("mount.move_judged", BIND, 0, 0, 0, 0x2000), NOT_SRV) == Judged(
        Move(b"1", b"2"), (Named(b"/s"), Named(b"/t")), sources=(1,), targets=(2,))
    for rule in ("mount.bind_judged", "mount.move_judged"):
        assert decide(call(rule, BIND | {0: NULL}, 0, 0, 0, 0x1000), NOT_SRV) == Deny(EINVAL)
        assert decide(call(rule, BIND | {0: Text(b"", EFAULT)}, 0, 0, 0, 0x1000), NOT_SRV) == Deny(EFAULT)
        assert decide(call(rule, BIND | {1: Text(b"")}, 0, 0, 0, 0x1000), NOT_SRV) == Deny(ENOENT)


@pytest.mark.parametrize(("source", "target", "flags", "texts", "names"), [
    (3, AT_FDCWD, 0x4, (b"", b"/t"), (Named(b"", 3, follow=False), Named(b"/t", follow=False))),
    (AT_FDCWD, 4, 0x51, (b"a", b""), (Named(b"a"), Named(b"", 4))),
    (9, 4, 0x200, (b"/a", b"t"), (Named(b"/a", follow=False), Named(b"t", 4, follow=False))),
])  # fmt: skip
def test_move_mount_under_a_rule(source: int, target: int, flags: int, texts: tuple[bytes, bytes], names: tuple[Named, ...]) -> None:
    made = dataclasses.replace(call("move_mount.judged", {1: Text(texts[0]), 3: Text(texts[1])}), args=(source, 0, target, 0, flags, 0))
    assert decide(made) == Judged(Move(b"1", b"2", flags & 0x200), names, sources=(1,), targets=(2,))


def test_paths_with_a_directory_that_lead_nowhere() -> None:
    for args, texts, errno in (((3, 0, AT_FDCWD, 0, 0), (b"", b"/t"), ENOENT), ((-1 & 0xFFFFFFFF, 0, 0, 0, 0), (b"a", b"/t"), EBADF)):
        made = dataclasses.replace(call("move_mount.judged", {1: Text(texts[0]), 3: Text(texts[1])}), args=(*args, 0))
        assert decide(made) == Deny(errno)
        assert decide(dataclasses.replace(made, rule=INDEX["open_tree.judged"], args=(args[0], 0, 1, 0, 0, 0))) == Deny(errno)
    made = dataclasses.replace(call("move_mount.judged", {}), args=(0, 0, 0, 0, 0x400, 0))
    assert isinstance(decide(made), Continue)  # EINVAL, by register


def test_open_tree_under_a_rule() -> None:
    made = call("open_tree.judged", {1: Text(b"/s")}, AT_FDCWD, 0, 0x8101)
    assert decide(made) == Judged(OpenTree(-1, b"1", 0x8101), (Named(b"/s", follow=False),), sources=(1,))


@pytest.mark.parametrize(("path", "mode", "device", "names"), [
    (b"/dev/null", 0o20666, 0x103, (Named(b"/dev/"), Named(b"/dev/null"))), (b"tty", 0o20600, 0x500, (Named(b"."), Named(b"/dev/tty"))),
    (b"a/x", 0o20600, 0x1_0000_0109, (Named(b"a/"), Named(b"/dev/urandom"))),
    (b"/dev/kmsg", 0o20600, 0x10B, None), (b"/a", 0o60600, 0x103, None), (b"/a", 0o20600, 0, None), (b"/a/", 0o20600, 0x103, None),
    (b"", 0o20600, 0x103, None), (b"/a", 0o20600, 0x100103, None),
])  # fmt: skip
def test_nodes_that_every_container_has(path: bytes, mode: int, device: int, names: tuple[Named, ...] | None) -> None:
    """The rest is the kernel's: it is so by register, or ends with EPERM."""
    verdict = decide(call("mknod.device", {0: Text(path)}, 0, mode, device))
    if names is None:
        assert verdict == Continue(frozenset({KernelCheck.HOSTCAP}))
    else:
        assert verdict == Judged(MakeNode(path.rpartition(b"/")[2], b"2"), names, sources=(2,), targets=(1,))
    at = dataclasses.replace(call("mknodat.device", {1: Text(b"x")}), args=(7, 0, 0o20600, 0x103, 0, 0))
    assert decide(at) == Judged(MakeNode(b"x", b"2"), (Named(b".", 7), Named(b"/dev/null")), sources=(2,), targets=(1,))
