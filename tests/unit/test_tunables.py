"""A tunable's value: where it begins, what changes it, and that it is kept before anybody is told."""
import errno
import os
from pathlib import Path

import pytest

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import Tunable
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.snapshots import Snapshots
from eci_supervisor.procfs.stores import Stored, Stores
from eci_supervisor.procfs.text import integers
from eci_supervisor.procfs.tunables import Tunables, split_sysctls
from tests.support.machine import machine

NAME = b"proc/sys/vm/overcommit_memory"
INODE = 64
NODES = {NAME: Tunable(INODE, integers(0, 2)), b"proc/sys/vm/lacking": Tunable(65, integers(0, 1))}
WRITER = (77, 100000)


@pytest.fixture
def root(tmp_path: Path) -> str:
    machine(tmp_path).write("proc/sys/vm/overcommit_memory", 1)
    return str(tmp_path)


def open_tunables(root: str, spec: bytes | None = None) -> Tunables:
    return Tunables(f"{root}/tunables.json", NODES, {} if spec is None else {NAME: spec}, root)


def test_begins_as_the_hosts_and_without_what_the_host_lacks(root: str) -> None:
    tunables = open_tunables(root)
    assert tunables.value(NAME) == b"1\n"
    assert b"proc/sys/vm/lacking" not in tunables


def test_a_restart_keeps_what_was_stored(root: str) -> None:
    tunables = open_tunables(root)
    assert tunables.store(NAME, b"2\n") is None
    assert open_tunables(root).value(NAME) == b"2\n"
    assert tunables.host_value(NAME) == b"1\n"


def test_a_restart_keeps_the_value_of_creation_too(root: str) -> None:
    open_tunables(root)
    Path(root, "proc/sys/vm/overcommit_memory").write_text("0\n")
    assert open_tunables(root).value(NAME) == b"1\n"


def test_the_spec_may_set_it(root: str) -> None:
    assert open_tunables(root, spec=b"0x2").value(NAME) == b"2\n"
    assert open_tunables(root, spec=b"0").value(NAME) == b"2\n"  # a restart: what is kept wins


def test_the_spec_may_not_set_it_to_anything(root: str) -> None:
    with pytest.raises(ValueError, match="overcommit_memory: b'3' is not a value"):
        open_tunables(root, spec=b"3")


def test_a_refused_store_changes_nothing(root: str) -> None:
    tunables = open_tunables(root)
    assert tunables.store(NAME, b"3") == Deny(errno.EINVAL)
    assert tunables.value(NAME) == open_tunables(root).value(NAME) == b"1\n"


def test_a_value_that_cannot_be_kept_is_not_taken(root: str) -> None:
    tunables = open_tunables(root)
    os.mkdir(f"{root}/tunables.json.new")
    with pytest.raises(OSError, match=r"tunables\.json\.new"):
        tunables.store(NAME, b"2")
    assert tunables.value(NAME) == b"1\n"


@pytest.mark.parametrize("text", ["{", "[1]", '{"proc/sys/vm/overcommit_memory": 1}'])
def test_a_file_that_is_not_ours(root: str, text: str) -> None:
    Path(root, "tunables.json").write_text(text)
    with pytest.raises(ValueError, match=r"Expecting|not the tunables"):
        open_tunables(root)


RATIO, KBYTES = tree.OVERCOMMIT_RATIO, tree.OVERCOMMIT_KBYTES


def overcommit(root: str, initial: dict[bytes, bytes] | None = None) -> Tunables:
    nodes = {name: tree.TUNABLES[name] for name in (RATIO, KBYTES)}
    return Tunables(f"{root}/tunables.json", nodes, initial or {}, root)


def test_each_way_of_overcommitting_zeroes_the_other(root: str) -> None:
    tunables = overcommit(root)
    assert (tunables.value(RATIO), tunables.value(KBYTES)) == (b"50\n", b"0\n")
    for name, other, written in ((KBYTES, RATIO, b"1000\n"), (RATIO, KBYTES, b"80\n"), (KBYTES, RATIO, b"0\n")):
        assert tunables.store(name, written) is None
        assert (tunables.value(name), tunables.value(other)) == (written, b"0\n")
        assert overcommit(root).value(name) == written
    assert tunables.store(RATIO, b"-1") == Deny(errno.EINVAL)


def test_the_spec_zeroes_the_other_too(root: str) -> None:
    tunables = overcommit(root, {KBYTES: b"4096"})
    assert (tunables.value(RATIO), tunables.value(KBYTES)) == (b"0\n", b"4096\n")


def test_sysctls_of_the_spec() -> None:
    virtual, native = split_sysctls([("vm.overcommit_memory", "1"), ("net.ipv4.ip_forward", "1")], NODES)
    assert virtual == {NAME: b"1"}
    assert native == ((b"net.ipv4.ip_forward", b"1"),)


@pytest.fixture
def events() -> list[Stored]:
    return []


@pytest.fixture
def stores(root: str, events: list[Stored]) -> Stores:
    def fault(what: str, error: Exception) -> None:
        del what, error

    return Stores(open_tunables(root), Sampler(proc=f"{root}/proc", sys=f"{root}/sys"), events.append, fault)


def test_every_write_moves_the_time(stores: Stores) -> None:
    times = [stores.changed_ns(INODE)]
    for offset, written in ((0, b"2"), (0, b"2"), (3, b"1")):
        stores.write(INODE, offset, written, WRITER)
        times.append(stores.changed_ns(INODE))
    with pytest.raises(OSError, match="Invalid argument"):
        stores.write(INODE, 0, b"3", WRITER)
    assert times == sorted(set(times))
    assert stores.content(INODE) == b"2\n"


def test_a_store_of_the_hosts_value_is_not_told(stores: Stores, events: list[Stored]) -> None:
    stores.write(INODE, 0, b"1\n", WRITER)
    assert events == []
    stores.write(INODE, 0, b"2\n", WRITER)
    assert [event.new for event in events] == [b"2\n"]


def test_a_store_is_told_at_most_once_a_second(stores: Stores, events: list[Stored]) -> None:
    for value in (b"2", b"0", b"1"):
        stores.write(INODE, 0, value, WRITER)
    assert events == [Stored(NAME, b"1\n", b"2\n", b"1\n", *WRITER)]


def test_a_write_behind_the_beginning_is_ignored(stores: Stores, events: list[Stored]) -> None:
    stores.write(INODE, 1, b"2", WRITER)
    assert stores.content(INODE) == b"1\n"
    assert events == []


def test_only_the_first_page_counts(stores: Stores) -> None:
    stores.write(INODE, 0, b"2" + b" " * 5000 + b"x", WRITER)
    with pytest.raises(OSError, match="Invalid argument"):
        stores.write(INODE, 0, b" " * 4095 + b"1", WRITER)
    assert stores.content(INODE) == b"2\n"


def test_directories_views_and_strangers_are_no_tunables(stores: Stores) -> None:
    for inode in (1, tree.PROC.inode, 16, 4711, 65):
        with pytest.raises(FileNotFoundError):
            stores.content(inode)
        with pytest.raises(FileNotFoundError):
            stores.write(inode, 0, b"1", WRITER)


def test_directories_tunables_and_strangers_are_no_views(root: str) -> None:
    snapshots = Snapshots(Sampler(proc=f"{root}/proc", sys=f"{root}/sys"), lambda _what, _error: None)
    for inode in (1, tree.PROC.inode, INODE, 4711):
        with pytest.raises(FileNotFoundError):
            snapshots.take(inode)
