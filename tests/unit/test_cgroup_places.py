"""Which cgroups are found, and which of them are a container's own."""
from eci_supervisor.forkserver.home import Hierarchy, hierarchies
from eci_supervisor.life.cgroups import own_directories

MOUNTINFO = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
nonsense
"""


def test_hierarchies_are_found_and_the_rest_is_passed_over() -> None:
    found = hierarchies(MOUNTINFO)
    assert [one.mountpoint.rpartition("/")[2] for one in found] == ["cpu,cpuacct", "memory", "devices", "unified"]
    assert found[3] == Hierarchy("/sys/fs/cgroup/unified", frozenset(), unified=True)


def test_what_init_shares_with_its_creator_is_not_its_own() -> None:
    init = b"4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n2:devices:/\n1:name=systemd:/docker/abc\n0::/user.slice\nx\n"
    creator = b"4:cpu,cpuacct:/\n3:memory:/\n0::/user.slice\n"
    assert own_directories(init, creator, hierarchies(MOUNTINFO)) == (
        "/sys/fs/cgroup/cpu,cpuacct/docker/abc", "/sys/fs/cgroup/memory/docker/abc")


def test_a_path_outside_our_cgroup_namespace_is_nobodys() -> None:
    assert own_directories(b"0::/../outside\n", b"", hierarchies(MOUNTINFO)) == ()
