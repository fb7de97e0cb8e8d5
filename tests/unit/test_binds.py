"""Whose ids a bind shows, and its flags."""
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.idmap.maps import Extent, shifted
from eci_supervisor.linux import mount_flags as flags
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.settings import BindRules
from eci_supervisor.oci.binds import Mapping, Source, bind_flags, mapping, maps, plain_warning

IDS = IdRange(100_000)
NODEV = flags.MOUNT_ATTR_NODEV


@pytest.mark.parametrize(("source", "expected"), [
    (Source("/var/lib/docker/volumes/x/_data", 0, 0, private=True), Mapping.IDENTITY),
    (Source("/var/lib/docker/volumes/x/_data", 999, 999, private=True), Mapping.IDENTITY),
    (Source("/home/alice", 1000, 1000, private=False), Mapping.OWNER),
    (Source("/srv/data", 0, 0, private=False), Mapping.PLAIN),
    (Source("/srv/listed", 0, 0, private=False), Mapping.IDENTITY),
    (Source("/srv/listed", 1000, 0, private=False), Mapping.IDENTITY),
])  # fmt: skip
def test_the_table(source: Source, expected: Mapping) -> None:
    assert mapping(source, BindRules(identity=frozenset({"/srv/listed"}))) is expected


def test_identity_is_the_containers_own_map_and_plain_is_none() -> None:
    source = Source("/x", 0, 0, private=False)
    assert maps(Mapping.IDENTITY, source, IDS) == shifted(IDS)
    assert maps(Mapping.PLAIN, source, IDS) is None
    assert '"bindMounts.identity"' in plain_warning(source)


def test_the_owner_is_container_root_and_a_group_of_0_is_nobodys() -> None:
    found = maps(Mapping.OWNER, Source("/home/alice", 1000, 0, private=False), IDS)
    assert found is not None
    assert found.uids == (Extent(1000, 100_000, 1), Extent(100_001, 100_001, 65_535))
    assert found.gids == (Extent(100_000, 100_000, 65_536),)


@given(st.integers(1, 300_000))
def test_an_owners_map_is_one_to_one_and_never_reaches_host_root(owner: int) -> None:
    found = maps(Mapping.OWNER, Source("/x", owner, owner, private=False), IDS)
    assert found is not None
    assert found.uids == found.gids
    on_disk = {extent.outside: extent.inside for extent in found.uids if extent.size == 1}
    assert on_disk.get(IDS.start, IDS.start if owner == IDS.start else None) == owner
    for side in ("inside", "outside"):
        spans = sorted((getattr(extent, side), getattr(extent, side) + extent.size) for extent in found.uids)
        assert all(left[1] <= right[0] for left, right in pairwise(spans))
        assert spans[0][0] > 0
    assert sum(extent.size for extent in found.uids) == IDS.count, "every id of the container can be written to disk"
    assert all(IDS.start <= extent.outside < IDS.end for extent in found.uids)


@pytest.mark.parametrize(("options", "attr_set", "attr_clear"), [
    ((), NODEV, 0),
    (("rbind", "rw", "dev"), NODEV, 0),
    (("rbind", "ro", "nosuid", "noexec"), NODEV | 0x1 | 0x2 | 0x8, 0),
    (("bind", "ro", "rw"), NODEV, 0),
    (("bind", "noatime", "strictatime"), NODEV | flags.MOUNT_ATTR_STRICTATIME, flags.MOUNT_ATTR_ATIME),
    (("bind", "relatime", "nodiratime"), NODEV | flags.MOUNT_ATTR_NODIRATIME, flags.MOUNT_ATTR_ATIME),
])  # fmt: skip
def test_flags(options: tuple[str, ...], attr_set: int, attr_clear: int) -> None:
    found = bind_flags(options)
    assert (found.attr_set, found.attr_clear) == (attr_set, attr_clear)


@pytest.mark.parametrize(("option", "propagation", "shared"), [
    ("rbind", flags.MS_PRIVATE, False), ("rprivate", flags.MS_PRIVATE, False), ("rslave", flags.MS_SLAVE, False),
    ("rshared", flags.MS_SLAVE, True),
])  # fmt: skip
def test_propagation(option: str, propagation: int, shared: bool) -> None:
    found = bind_flags((option,))
    assert (found.propagation, found.shared, found.recursive) == (propagation, shared, option == "rbind")
