"""What staging starts from: a directory that others reach, one that nobody reaches, an engine's overlay, and requests for them."""
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eci_supervisor.linux.mount_api import MS_REC, MS_SLAVE, mount
from eci_supervisor.linux.namespaces import CLONE_NEWNS, unshare
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.settings import BindRules
from eci_supervisor.mounts.mountinfo import MountEntry
from eci_supervisor.oci.own_places import OwnPlaces
from eci_supervisor.oci.restricted import Ground as HostGround
from eci_supervisor.oci.spec import Mount
from eci_supervisor.oci.stage import Staged, StageRequest, mount_table, stage

IDS = IdRange(2_100_000_000)
DOCKER = (
    Mount("/proc", "proc", "proc"), Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")), Mount("/dev/pts", "devpts", "devpts"),
    Mount("/sys", "sysfs", "sysfs", ("ro",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """open: 0755 all the way; closed: below an engine's 0710 data root."""

    open: Path

    @property
    def closed(self) -> Path:
        return self.open / "data"

    @property
    def rootfs(self) -> Path:
        """Of a plain bundle."""
        return self.open / "rootfs"

    @property
    def merged(self) -> Path:
        return self.closed / "overlay/top/merged"

    @property
    def upper(self) -> Path:
        return self.closed / "overlay/top/diff"

    def layer(self, number: int) -> Path:
        path = self.closed / f"overlay/{number:064x}/diff"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def engine_overlay(self, count: int = 2, options: str = "index=off", lower: str = "", relative_to: str = "") -> Path:
        """Mounts what an engine mounts over its first `count` layers, the last on top; the merged directory."""
        layers = lower or ":".join(str(self.layer(number)) for number in reversed(range(count)))
        for name in ("diff", "work", "merged"):
            (self.closed / "overlay/top" / name).mkdir(parents=True, exist_ok=True)
        prefix = "" if relative_to else f"{self.closed}/overlay/"
        if relative_to:
            os.chdir(relative_to)
        words = f"lowerdir={layers},upperdir={prefix}top/diff,workdir={prefix}top/work,{options}"
        mount("overlay", str(self.merged), "overlay", 0, words)
        os.chdir("/")
        return self.merged

    def stage(self, rootfs: Path, *mounts: Mount, read_only: bool = False, identity: frozenset[str] = frozenset()) -> Staged:
        unshare(CLONE_NEWNS)
        mount("", "/", "", MS_REC | MS_SLAVE)
        return stage(StageRequest(rootfs=str(rootfs), read_only=read_only, ids=IDS, mounts=mounts, stage_dir=f"{self.open}/run/stage",
                                  binds=BindRules(identity=identity),
                                  ground=HostGround(own=OwnPlaces(), engine=tuple, state_dir="/nowhere")))


@contextmanager
def made_ground(path: Path) -> Iterator[Ground]:
    """Removed at the end; the mounts went with the processes that made them."""
    ground = Ground(path)
    for directory, mode in ((path, 0o755), (ground.closed, 0o710), (path / "run/stage", 0o711), (ground.rootfs, 0o755)):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(mode)
    try:
        yield ground
    finally:
        shutil.rmtree(path)


def bind(source: Path | str, destination: str, *options: str) -> Mount:
    return Mount(destination, "bind", str(source), ("rbind", "rprivate", *options))


def owner(path: Path | str) -> tuple[int, int]:
    status = os.stat(path, follow_symlinks=False)
    return status.st_uid, status.st_gid


def is_whiteout(path: Path) -> bool:
    status = os.stat(path, follow_symlinks=False)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def mounted(path: Path | str) -> MountEntry:
    """The topmost mount at `path`."""
    return [entry for entry in mount_table() if entry.path == os.fsencode(path)][-1]
