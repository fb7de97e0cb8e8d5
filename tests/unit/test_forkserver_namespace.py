"""Which mounts a supervisor has no part in."""
from eci_supervisor.forkserver.namespace import superfluous
from eci_supervisor.mounts.mountinfo import parse_mountinfo

TEXT = b"""\
1 0 0:20 / / rw - overlay overlay rw,lowerdir=/l
2 1 0:21 / /proc rw - proc proc rw
3 1 0:22 / /dev/shm rw - tmpfs tmpfs rw
4 1 8:1 / /var/lib/docker rw - ext4 /dev/sda1 rw
5 4 0:23 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw
6 5 0:24 / /var/lib/docker/overlay2/a/merged/state rw - overlay overlay rw
7 4 0:25 / /var/lib/docker/containers/a/mounts/shm rw - tmpfs shm rw
8 1 0:26 net:[4026532186] /run/docker/netns/abc rw - nsfs nsfs rw
9 1 0:27 / /run rw - tmpfs tmpfs rw
10 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
"""


def test_what_is_of_containers_goes_and_what_leads_to_our_files_stays() -> None:
    found = superfluous(parse_mountinfo(TEXT), (b"/run/eci", b"/opt/eci/lib"))
    assert found == [
        b"/run/docker/netns/abc", b"/var/lib/docker/containers/a/mounts/shm",
        b"/var/lib/docker/overlay2/a/merged/state", b"/var/lib/docker/overlay2/a/merged",
    ]


def test_a_state_directory_in_an_overlay_keeps_it() -> None:
    found = superfluous(parse_mountinfo(TEXT), (b"/var/lib/docker/overlay2/a/merged/state/eci",))
    assert found == [b"/run/docker/netns/abc", b"/var/lib/docker/containers/a/mounts/shm"]
