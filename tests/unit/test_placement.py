"""Who makes which mount."""
import pytest

from eci_supervisor.oci.placement import Place, Placement
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.spec import Mount

DOCKER = (
    (Mount("/proc", "proc", "proc"), Place.TREE),
    (Mount("/dev", "tmpfs", "tmpfs"), Place.RUNTIME),
    (Mount("/dev/pts", "devpts", "devpts"), Place.RUNTIME),
    (Mount("/sys", "sysfs", "sysfs", ("ro",)), Place.TREE),
    (Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro",)), Place.CGROUP),
    (Mount("/run", "tmpfs", "tmpfs"), Place.RUNTIME),
    (Mount("/data", "bind", "/srv/data", ("rbind", "ro")), Place.STAGED),
    (Mount("/data/inner", "bind", "/srv/inner", ("rbind",)), Place.STAGED),
    (Mount("/runner", "bind", "/srv/x", ("rbind",)), Place.STAGED),
    (Mount("/run/rw", "bind", "/srv/x", ("rbind",)), Place.RUNTIME_FROM_CLONE),
    (Mount("/run/ro", "bind", "/srv/x", ("rbind", "ro")), Place.LATE),
    (Mount("/run/ro/rw", "bind", "/srv/x", ("rbind",)), Place.LATE),
    (Mount("/dev/shm", "bind", "/srv/shm", ("rbind",)), Place.RUNTIME_FROM_CLONE),
)


def place(placement: Placement, mount: Mount, where: str | None = None) -> Place:
    return placement.place(mount, where or mount.destination, read_only="ro" in mount.options)


def test_what_docker_asks_for() -> None:
    placement = Placement()
    assert [place(placement, mount) for mount, _ in DOCKER] == [expected for _, expected in DOCKER]


def test_a_link_of_the_image_decides_as_what_it_leads_to() -> None:
    placement = Placement()
    place(placement, Mount("/run", "tmpfs", "tmpfs"))
    assert place(placement, Mount("/var/run/x", "bind", "/srv/x", ("rbind",)), "/run/x") is Place.RUNTIME_FROM_CLONE
    with pytest.raises(StageRefused, match="virtual"):
        place(placement, Mount("/innocent", "bind", "/srv/x", ("rbind",)), "/proc/sys")


@pytest.mark.parametrize("mount", [
    Mount("/proc", "bind", "/proc", ("rbind",)),
    Mount("/proc/cpuinfo", "bind", "/srv/cpuinfo", ("bind",)),
    Mount("/sys", "bind", "/sys", ("rbind",)),
    Mount("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", ("rbind",)),
    Mount("/proc/acpi", "tmpfs", "tmpfs"),
    Mount("/elsewhere", "proc", "proc"),
    Mount("/elsewhere", "sysfs", "sysfs"),
    Mount("/", "bind", "/srv", ("rbind",)),
], ids=str)  # fmt: skip
def test_refused(mount: Mount) -> None:
    with pytest.raises(StageRefused, match=mount.destination):
        place(Placement(), mount)


def test_what_the_runtime_makes_cannot_lie_below_what_comes_after_it() -> None:
    placement = Placement()
    for mount in (Mount("/run", "tmpfs", "tmpfs"), Mount("/run/x", "bind", "/srv/x", ("rbind", "ro"))):
        place(placement, mount)
    with pytest.raises(StageRefused, match="/run/x/t"):
        place(placement, Mount("/run/x/t", "tmpfs", "tmpfs"))
