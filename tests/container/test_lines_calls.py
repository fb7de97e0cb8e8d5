"""The new mount API by direct calls, paths, errnos, and what a container starts with: lines of the contract, named by their numbers."""
import ast
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.lines import Seen, machine, said, said_outside, seen_in
from tests.support.driver import Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
OK, NO, DENIED, BUSY, RO, MISSING = "OK", "EINVAL", "EPERM", "EBUSY", "EROFS", "ENOENT"

# Container root's; where an unprivileged user of the container gets something else, that comes second.
ERRORS: dict[str, tuple[str, ...]] = {
    "55 long": ("ENAMETOOLONG",), "55 component": ("ENAMETOOLONG",), "55 type": (NO,), "57 bit 31": (NO,), "57 bit 40": (NO,),
    "57 shared": (NO,), "59 flag": (NO,), "60 empty": (MISSING,), "60 no mount": (NO, DENIED), "60 file": ("ENOTDIR",),
    "bind of nothing": (NO, DENIED), "bind of empty": (NO, DENIED), "bind of missing": (MISSING, DENIED), "bind to missing": (MISSING,),
    "bind on file": ("ENOTDIR", DENIED), "proc bound on file": ("ENOTDIR", DENIED), "bind to NULL": ("EFAULT",),
    "remount no root": (NO, DENIED), "open_tree NULL": ("EFAULT", DENIED), "open_tree empty": (MISSING, DENIED), "open_tree flags": (NO,),
    "open_tree fd": ("EBADF", DENIED), "open_tree empty fd": ("EBADF", DENIED), "open_tree bad": ("EFAULT", DENIED),
    "open_tree fd of a file": ("ENOTDIR", DENIED), "setattr size": (NO,), "setattr page": ("E2BIG",), "setattr huge": ("E2BIG",),
    "setattr bad": ("EFAULT", DENIED), "setattr tail": ("E2BIG", DENIED), "setattr nothing": (OK, DENIED),
    "setattr missing": (MISSING, DENIED), "setattr unknown": (NO, DENIED), "setattr no root": (NO, DENIED), "setattr flags": (NO,),
    "setattr propagation": (NO, DENIED),
}


@pytest.fixture
def seen(runtime: Runtime, containers: Launch, closed: Path) -> Seen:
    return seen_in(runtime, containers, closed)


def test_36_a_tree_that_is_not_attached(seen: Seen) -> None:
    assert seen("line_36")[:2] == [True, OK]
    assert seen("line_36_attributes") == [OK, OK, RO, RO, True]


def test_37_fsmount_twice_and_before_create(seen: Seen) -> None:
    assert seen("line_37") == [OK, BUSY, NO, "EBADF", NO, NO, NO, NO]


def test_38_close_on_exec(seen: Seen) -> None:
    assert seen("line_38") == [1, 0, 0]


def test_39_other_file_systems(seen: Seen) -> None:
    assert seen("line_39") == [OK, True, OK, OK, ["new"], OK, True, OK]


def test_40_contexts_that_are_refused(seen: Seen) -> None:
    assert seen("line_40") == [DENIED, "ENODEV", "EFAULT", NO, NO, "EBADF", NO, NO, BUSY, "ENOTSUP"]


def test_41_a_context_of_another_namespace(seen: Seen) -> None:
    assert seen("line_41") == [OK, True, ["1"]]


def test_42_umount_of_a_volume(seen: Seen) -> None:
    assert seen("line_42") == [NO] * 10


def test_43_a_volume_to_writable(seen: Seen) -> None:
    assert seen("line_43") == [[DENIED] * 7, RO]


def test_44_the_same_by_attributes(seen: Seen) -> None:
    """open_tree_attr(2) too: libseccomp does not know it, so nobody is asked, and the locks hold."""
    *results, last = seen("line_44")
    assert results[:4] == [DENIED, DENIED, DENIED, RO]
    assert set(results[4:]) <= {DENIED, "ENOSYS"}
    assert last == RO


def test_45_binds_of_a_volume(seen: Seen) -> None:
    assert seen("line_45") == [OK, DENIED, RO, DENIED, OK] * 2


def test_46_a_writable_volume(seen: Seen) -> None:
    assert seen("line_46") == [OK, OK, RO, OK, OK, DENIED, OK, RO, OK, OK]


def test_47_nosuid(seen: Seen) -> None:
    assert seen("line_47") == [OK, True, OK, False, DENIED, DENIED, True]


def test_48_a_cover_of_a_volume(seen: Seen) -> None:
    assert seen("line_48") == [OK, OK, OK, RO, NO]


def test_49_a_read_only_root(containers: Launch, closed: Path) -> None:
    refused = [DENIED, DENIED, DENIED, RO]
    plain, nested, pivoted = said(machine(containers, closed, read_only=True), "immutable", "line_49")["line_49"]
    assert plain == refused
    assert nested == repr(repr(refused))
    assert pivoted == repr([OK, OK, OK, DENIED, DENIED, RO])


def test_50_move_and_pivot(seen: Seen) -> None:
    assert seen("line_50") == [NO, NO, OK, OK]


def test_51_without_us(containers: Launch, closed: Path, seen: Seen) -> None:
    container = machine(containers, closed)
    container.kill_supervisor()
    names = tuple(f"line_{number}" for number in (42, 43, 44, 45))
    assert said_outside(container, "immutable", *names) == {name: seen(name) for name in names}


def test_52_all_of_it_recursively(seen: Seen) -> None:
    assert seen("line_52") == [OK, RO, RO, DENIED, OK, OK, True]


def test_53_55_56_57_59_60_errors(seen: Seen) -> None:
    root, user = seen("line_53")
    assert root == {case: errors[0] for case, errors in ERRORS.items()}
    more = {"56 missing": MISSING, "56 there": DENIED, "56 unknown": DENIED, "fsmount": DENIED}
    assert ast.literal_eval(user) == {case: errors[-1] for case, errors in ERRORS.items()} | more


def test_54_strings_and_structs_before_a_hole(seen: Seen) -> None:
    assert seen("line_54") == [OK, "True", OK, OK, OK, RO, "EFAULT", OK, OK]


def test_57_59_wide_flags(seen: Seen) -> None:
    assert seen("line_57") == [OK, True, OK, []]


def test_61_umount_steps_up(seen: Seen) -> None:
    """From a descriptor, or a working directory, below what is mounted there: the topmost goes, and is judged."""
    twice = [OK, OK, OK, True, OK, []]
    assert seen("line_61") == [OK, OK, False, OK, OK, [], *twice, *twice, OK, OK, [], NO]


def test_62_descriptors(seen: Seen) -> None:
    first, *others = seen("line_62")
    assert first == [OK, True, OK, RO, OK, OK, True, OK, True, OK, OK, OK, []]
    assert others == [True, True, [OK, OK, True, OK]]


def test_63_the_root_of_another_process(seen: Seen) -> None:
    assert seen("line_63") == [OK, "True", OK]


def test_64_relative_paths(seen: Seen) -> None:
    assert seen("line_64") == [MISSING, NO, OK, OK, "True", OK, OK, OK]


def test_65_links(seen: Seen) -> None:
    jailed = repr((OK, True, NO, OK, NO))
    assert seen("line_65") == [OK, "True", NO, OK, OK, OK, "ELOOP", "ELOOP", "ELOOP", jailed, []]


def test_66_below_a_fuse_mount_of_the_container(seen: Seen) -> None:
    assert seen("line_66") == [OK, OK, True, OK, OK, True, OK, OK, True, OK, OK, NO, MISSING, OK]
    assert seen("line_66_devices") == [NO, NO, NO, NO, NO, OK, NO]
