"""Where each mount of the spec is made: by us now, by the runtime, by the hook, or not at all. Pure.

| mount                                              | made by                                        |
|----------------------------------------------------|------------------------------------------------|
| proc on /proc, sysfs on /sys                       | the hook: a locked tree                        |
| cgroup, cgroup2 on /sys/fs/cgroup                  | the runtime, in a tmpfs; the hook carries it   |
| anything else at or below /proc or /sys            | nobody: refused                                |
| proc or sysfs anywhere else                        | nobody: refused                                |
| a bind, nothing of the runtime's above it          | us                                             |
| a bind below a mount of the runtime's              | the runtime, from our clone                    |
| the same, read-only, or below one that the hook attaches | the hook                                 |
| whatever is no bind                                | the runtime                                    |
"""
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.spec import Mount

TREES = {"proc": "/proc", "sysfs": "/sys"}
CGROUPS = "/sys/fs/cgroup"


class Place(Enum):
    """Who makes a mount."""

    TREE = auto()
    CGROUP = auto()
    RUNTIME = auto()
    STAGED = auto()
    RUNTIME_FROM_CLONE = auto()
    LATE = auto()


@dataclass(slots=True)
class Placement:
    """The decisions of one container, taken in the spec's order; destinations are resolved inside the rootfs."""

    made_by_runtime: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def place(self, mount: Mount, where: str, *, read_only: bool) -> Place:
        """`where`: the destination, resolved; read_only: a bind whose flag must be locked. Raises StageRefused."""
        what = f"mount of {mount.source or mount.type} on {mount.destination}"
        if not mount.is_bind and mount.type in TREES:
            if where != TREES[mount.type]:
                raise StageRefused(f"{what}: it can only be on {TREES[mount.type]}, or be mounted inside.")
            return Place.TREE
        if not mount.is_bind and mount.type in ("cgroup", "cgroup2") and where == CGROUPS:
            return Place.CGROUP
        if where == "/":
            raise StageRefused(f"{what}: it would cover the whole rootfs.")
        if is_below(where, TREES.values()):
            raise StageRefused(f"{what}: /proc and /sys are virtual in this container, nothing can be mounted in them.")
        return self._other(mount, where, read_only=read_only)

    def under_runtime(self, where: str) -> bool:
        """Whether a mount of the runtime's is at `where` or above it."""
        return is_below(where, self.made_by_runtime)

    def _other(self, mount: Mount, where: str, *, read_only: bool) -> Place:
        under_late = is_below(where, self.late)
        if not mount.is_bind:
            if under_late:
                raise StageRefused(f"mount of {mount.source or mount.type} on {mount.destination}: it lies below a volume that is attached "
                                   "after the runtime's own mounts. Mount it elsewhere.")
            self.made_by_runtime.append(where)
            return Place.RUNTIME
        if under_late or (read_only and self.under_runtime(where)):
            self.late.append(where)
            return Place.LATE
        return Place.RUNTIME_FROM_CLONE if self.under_runtime(where) else Place.STAGED


def is_below(where: str, above: Iterable[str]) -> bool:
    """Whether a path is one of `above` or below it."""
    return any(where == path or where.startswith(f"{path}/") for path in above)
