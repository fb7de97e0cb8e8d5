"""The virtual procfs and sysfs, by mount(2) and by the new mount API: the lines of the contract, each named by its number."""
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.lines import Seen, machine, said_outside, seen_in
from tests.support.driver import Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
OK, NO, DENIED, BUSY, RO = "OK", "EINVAL", "EPERM", "EBUSY", "EROFS"


@pytest.fixture
def seen(runtime: Runtime, containers: Launch, closed: Path) -> Seen:
    return seen_in(runtime, containers, closed)


def test_01_new_mount(seen: Seen) -> None:
    assert seen("line_01") == [OK, True, OK, OK, True, OK, []]


def test_02_read_only(seen: Seen) -> None:
    assert seen("line_02") == [OK, RO, OK, OK] * 3


def test_03_and_back(seen: Seen) -> None:
    assert seen("line_03") == [OK, OK, OK, True]


def test_04_flags_as_asked_and_dropped(seen: Seen) -> None:
    assert seen("line_04") == [OK, True, OK, True, OK, OK, True, OK, True]


def test_05_hidepid(seen: Seen) -> None:
    hidden, shown = "False True", "True True"  # from uid 1000, from root
    assert seen("line_05") == [OK, hidden, OK, OK, shown, OK, hidden, OK, OK, hidden, OK, shown, True]


def test_06_subset(seen: Seen) -> None:
    assert seen("line_06") == [OK, False, True, OK, OK, False, True]


def test_07_bad_option(seen: Seen) -> None:
    assert seen("line_07") == [NO, NO, []]


def test_08_twice(seen: Seen) -> None:
    assert seen("line_08") == [OK, OK, OK, True, OK, [], NO, OK, BUSY, OK, NO]


def test_09_a_value_is_the_containers(seen: Seen) -> None:
    assert seen("line_09") == ["654321\n", True]


def test_10_umount(seen: Seen) -> None:
    assert seen("line_10") == [OK, OK, [], BUSY, BUSY, BUSY, OK, BUSY, OK]


def test_11_umount_of_a_node(seen: Seen) -> None:
    assert seen("line_11") == [OK, *[NO] * 10, True]


def test_12_all_of_proc_and_a_new_one(seen: Seen) -> None:
    assert seen("line_12") == [OK, [], OK, True]


def test_13_umount_with_a_cwd_below(seen: Seen) -> None:
    assert seen("line_13") == [OK, OK, True, NO]


def test_14_umount_with_a_foreign_mount_below(seen: Seen) -> None:
    assert seen("line_14") == [OK, OK, BUSY, OK, OK, []]


def test_15_binds(seen: Seen) -> None:
    assert seen("line_15") == [OK, True, OK, OK, True, OK, []]


def test_16_open_tree_without_recursive(seen: Seen) -> None:
    assert seen("line_16") == [True, OK, True, OK, "ENOENT", "ENOENT"]


def test_17_bind_onto_itself(seen: Seen) -> None:
    assert seen("line_17") == [OK, True, OK, True, True]


def test_18_bind_of_a_part(seen: Seen) -> None:
    assert seen("line_18") == [OK, 1, OK, OK, True, OK, NO]


def test_19_cover_of_a_node(seen: Seen) -> None:
    assert seen("line_19") == [OK, "", OK, True, NO]


def test_20_move(seen: Seen) -> None:
    assert seen("line_20") == [OK, OK, True, [], OK]


def test_21_read_only_as_an_inner_runtime_makes_it(seen: Seen) -> None:
    assert seen("line_21") == [OK, OK, OK, RO, True]


def test_22_mount_setattr(seen: Seen) -> None:
    """A recursive clear fails as a whole on a locked mask."""
    assert seen("line_22") == [OK, OK, RO, True, OK, OK, OK, OK, OK, RO, True, DENIED, RO, OK, True]


def test_23_reconfigure(seen: Seen) -> None:
    for half in (seen("line_23")[1:7], seen("line_23")[8:]):
        assert half == [OK, RO, RO, OK, OK, OK]


def test_24_sysfs(seen: Seen) -> None:
    assert seen("line_24") == [DENIED, OK, "True", OK, DENIED]


def test_25_a_shared_peer(seen: Seen) -> None:
    assert seen("line_25") == [OK, OK, "(True, 'OK')", []]


def test_26_a_slave(seen: Seen) -> None:
    assert seen("line_26") == [[], OK, "['OK', 'OK', True]"]


def test_27_unbindable(seen: Seen) -> None:
    assert seen("line_27") == [OK, OK, NO, OK, OK, OK, OK, True, []]


def test_28_chroot(seen: Seen) -> None:
    assert seen("line_28") == ["('OK', True, 'OK', True)", True]


def test_29_another_mount_namespace(seen: Seen) -> None:
    assert seen("line_29") == ["('OK', True)", []]


def test_30_a_nested_user_and_pid_namespace(seen: Seen) -> None:
    assert seen("line_30") == repr(repr((OK, "1", True, OK, True, "1", NO, OK, OK)))


def test_31_a_nested_user_namespace_alone(seen: Seen) -> None:
    assert seen("line_31") == repr((DENIED, DENIED, OK, DENIED, DENIED))


def test_32_pivot_root(seen: Seen) -> None:
    assert seen("line_32") == [OK, OK, NO, OK, OK, "True", OK, OK, "True"]


def test_35_sysfs_of_another_network(seen: Seen) -> None:
    assert seen("line_35") == [OK, ["lo"], True, OK, OK, ["lo"], True, OK]


def test_67_a_thread_with_a_root_and_ids_of_its_own(seen: Seen) -> None:
    assert seen("line_67") == [OK, True, OK, DENIED, DENIED, True, OK, True]


def test_06_11_15_16_without_us(containers: Launch, closed: Path) -> None:
    """Nothing of it rests on the filter: a process that has none is refused by the kernel."""
    container = machine(containers, closed)
    container.kill_supervisor()
    plain = said_outside(container, "procfs", "line_01", "line_06", "line_15", "line_16")
    assert [plain["line_01"][0], plain["line_01"][3], plain["line_01"][4]] == [DENIED, "EBADF", False]
    assert plain["line_06"][0] == DENIED
    assert plain["line_15"][0] == NO
    assert plain["line_16"][:2] == [False, "EBADF"]
