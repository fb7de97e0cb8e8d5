"""Handlers: copies in, the verdict the kernel's order of errors asks for out."""
from errno import EFAULT, EINVAL, ENAMETOOLONG, ENOENT

import pytest

from eci_supervisor.model.notification import Call, Text
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import Deny, Emulate, KernelCheck, MountTree, RemountBind, RemountSuperblock, UmountTree
from eci_supervisor.policy.rule import Ask
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.handlers import decide

INDEX = {rule.name: number for number, rule in enumerate(RULES)}
PROC = {0: Text(b"proc"), 1: Text(b"/t"), 2: Text(b"proc"), 4: Text(b"hidepid=2")}
NULL = Text(b"", 0, null=True)


def call(rule: str, texts: dict[int, Text], *args: int) -> Call:
    first, second, third, fourth = (*args, 0, 0, 0, 0)[:4]
    return Call(
        id=1, tid=2, arch=0xC000003E, nr=165, args=(first, second, third, fourth, 0, 0), ip=3, rule=INDEX[rule], texts=texts, received_ns=4)


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


def test_a_rule_that_asks_nobody_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="asks no handler"):
        decide(call("unshare", {}))


def test_whatever_is_asked_has_its_strings_copied() -> None:
    asked = [rule for rule in RULES if isinstance(rule.action, Ask)]
    assert {(rule.call, rule.reads) for rule in asked} == {
        ("mount", (0, 1, 2, 4)), ("umount2", (0,)), ("umount", (0,)), ("open_tree", (1,)), ("open_tree_attr", (1, 3)),
        ("mount_setattr", (1, 3)), ("fsconfig", ()), ("fsmount", ()), ("unshare", ()), ("clone", ())}
