"""Staging: the container's rootfs and volumes assembled in a private mount namespace, before the real runtime makes its own.

That is what locks them: when the runtime's mount namespace is copied into the container's user namespace, the kernel locks every mount
in the copy with its flags. Mounts below one that the runtime still makes (a tmpfs at /run) cannot be among them: they stay in the spec
with our clone as source, or, read-only, are attached by the hook.
"""
import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from eci_supervisor.idmap.maps import shifted
from eci_supervisor.idmap.userns import UserNamespaces
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.fsuid import FileSystemIds
from eci_supervisor.linux.mount_api import mount, mount_setattr, move_mount
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_RDONLY, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE
from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.listed import Listed
from eci_supervisor.model.settings import BindRules
from eci_supervisor.model.state import LateBind
from eci_supervisor.mounts.mountinfo import MountEntry, parse_mountinfo
from eci_supervisor.oci.listing import Listing
from eci_supervisor.oci.mountpoints import Rootfs
from eci_supervisor.oci.placement import TREES, Place, Placement, is_below
from eci_supervisor.oci.refusal import PolicyRefused, StageRefused
from eci_supervisor.oci.restricted import Ground, Restrictions
from eci_supervisor.oci.rootfs import stage_directory, stage_overlay, work_directory
from eci_supervisor.oci.sources import REFUSED_TYPES, Clone, SourceRules, clone_source, mount_of
from eci_supervisor.oci.spec import Mount

# Where the hook carries the runtime's cgroup mounts from: nothing of a sysfs of the runtime's must be in the container.
SYS_FOR_CGROUPS = Mount("/sys", "tmpfs", "tmpfs", ("nosuid", "noexec", "nodev", "mode=755"))


@dataclass(frozen=True, slots=True)
class StageRequest:
    """What to stage.

    rootfs: absolute; mounts: the spec's, in its order, sources of binds absolute; stage_dir: an empty directory that container root can
    reach (0711 all the way); propagation: linux.rootfsPropagation or ""; working_directory: made in a read-only rootfs, as the runtime
    makes it in another; binds: `bindMounts` of the settings; calls: its `syscalls`; ground: what of the host is the container's own;
    learned: is told of what a list alone refuses, which passes then; None: it is refused.
    """

    rootfs: str
    read_only: bool
    ids: IdRange
    mounts: tuple[Mount, ...]
    stage_dir: str
    binds: BindRules
    ground: Ground
    calls: CallRules = NO_RULES
    learned: Callable[[PolicyRefused], None] | None = None
    propagation: str = ""
    working_directory: str = "/"


@dataclass(frozen=True, slots=True)
class Staged:
    """What has been staged.

    rootfs: the path for the spec; mounts: what the runtime still makes, no procfs and no sysfs; late: what the hook attaches;
    overlay_work: our work directory beside the engine's, "" for a plain directory; listed: what rules for sources and targets are about
    in it; engine_overlay, our_overlay: O_PATH descriptors of
    the roots of both overlays, None for a plain directory.
    """

    rootfs: str
    mounts: tuple[Mount, ...]
    late: tuple[LateBind, ...]
    overlay_work: str
    warnings: tuple[str, ...]
    listed: Listed
    engine_overlay: OwnedFd | None
    our_overlay: OwnedFd | None


def overlay_work(rootfs: str) -> str:
    """Staged.overlay_work, before anything is staged: for a record of it in case that staging is killed."""
    with OwnedFd(os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as engine:
        line = overlay_at(engine, mount_table())
        return work_directory(line) if line is not None else ""


def stage(request: StageRequest) -> Staged:
    """Stages a container in the private mount namespace we are in. Raises StageRefused with one sentence; OSError names its object."""
    _must_be_reachable(request.stage_dir)
    before = os.umask(0)  # a mount point's mode is not the engine's business
    try:
        with UserNamespaces() as user_namespaces:
            return _Stage(request, user_namespaces).run()
    finally:
        os.umask(before)


@dataclass(slots=True)
class _Stage:
    """One staging: what has come of it so far."""

    request: StageRequest
    user_namespaces: UserNamespaces
    listing: Listing = field(init=False)
    warnings: list[str] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    late: list[LateBind] = field(default_factory=list)

    def run(self) -> Staged:
        request = self.request
        table = mount_table()
        restrictions = Restrictions(request.binds, request.ground, table, request.learned)
        self.listing = Listing(request.calls, restrictions)
        clones = self._clones(table, restrictions)
        engine = OwnedFd(os.open(request.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        mount("tmpfs", request.stage_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711")
        path = f"{request.stage_dir}/rootfs"
        os.mkdir(path)
        work = self._rootfs(engine, table, path)
        ours = OwnedFd(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        with FileSystemIds(request.ids.start):
            if work:
                self._copy_up_held(Rootfs(ours, path))
            self._mounts(Rootfs(ours, path), clones)
        if request.read_only:
            mount_setattr(ours.fileno(), attr_set=MOUNT_ATTR_RDONLY, what=path)
        self._refuse_revealing(clones)
        if request.propagation in ("shared", "rshared"):
            self.warnings.append("rootfsPropagation is slave, not shared: what the container mounts stays in the container.")
        overlays = (engine, ours) if work is not None else (None, None)
        return Staged(path, tuple(self.mounts), tuple(self.late), work or "", tuple(self.warnings), self.listing.result(), *overlays)

    def _clones(self, table: tuple[MountEntry, ...], restrictions: Restrictions) -> dict[int, Clone]:
        """A clone for each bind of the spec, by its index."""
        rules = SourceRules(self.request.ids, self.request.binds, restrictions.judge, self.listing.note, table, self.user_namespaces.fd)
        clones = {}
        for index, wanted in enumerate(self.request.mounts):
            if wanted.is_bind:
                clones[index] = clone_source(wanted, rules)
                self.warnings += clones[index].warnings
        return clones

    def _rootfs(self, engine: OwnedFd, table: tuple[MountEntry, ...], target: str) -> str | None:
        """The rootfs at `target`; the work directory of an overlay ("" without upper layer), None for a plain directory."""
        userns = self.user_namespaces.fd(shifted(self.request.ids))
        line = overlay_at(engine, table)
        if line is not None:
            area = f"{self.request.stage_dir}/layers"
            os.mkdir(area, 0o711)
            return stage_overlay(line, userns, self.request.ids, area, target)
        stage_directory(engine.fileno(), self.request.rootfs, mount_of(engine.fileno(), table), userns, target)
        return None

    def _copy_up_held(self, rootfs: Rootfs) -> None:
        """The working directory, and what holds a mount point: the container holds these as long as it lives."""
        held = {os.path.dirname(absolute(mount.destination)) for mount in self.request.mounts}
        covered = [absolute(mount.destination) for mount in self.request.mounts if not mount.is_bind]
        for path in sorted({self.request.working_directory, *held} - {"/"}):
            if not is_below(path, covered):
                rootfs.copy_up(path)

    def _mounts(self, rootfs: Rootfs, clones: dict[int, Clone]) -> None:
        """Each mount of the spec where it belongs, in the spec's order; then the places of what others make."""
        placement = Placement()
        for path in (*TREES.values(), "/dev"):
            self._plain_directory(rootfs, path)
        for index, wanted in enumerate(self.request.mounts):
            clone = clones.get(index)
            where = rootfs.resolved(absolute(wanted.destination))
            read_only = clone is not None and clone.flags.read_only and not clone.device
            chosen = placement.place(wanted, where, read_only=read_only)
            match chosen:
                case Place.TREE:
                    pass
                case Place.CGROUP:
                    self.mounts += [wanted] if SYS_FOR_CGROUPS in self.mounts else [SYS_FOR_CGROUPS, wanted]
                case Place.RUNTIME:
                    self._runtime_place(rootfs, placement, where)
                    self.mounts.append(wanted)
                case _:
                    self._attach(rootfs, chosen, wanted, where, clone)
        if self.request.read_only and not placement.under_runtime(self.request.working_directory):
            with contextlib.suppress(StageRefused):  # the runtime says what it thinks of it
                rootfs.place(rootfs.resolved(self.request.working_directory), directory=True).close()

    def _plain_directory(self, rootfs: Rootfs, path: str) -> None:
        """A link there would lead the hook elsewhere, which attaches the trees, or runc, which makes /dev/fd on the host then."""
        rootfs.place(path, directory=True).close()

    def _runtime_place(self, rootfs: Rootfs, placement: Placement, where: str) -> None:
        """In a read-only rootfs the runtime cannot make a mount point any more; below a mount of its own it can."""
        if self.request.read_only and not placement.under_runtime(os.path.dirname(where)):
            rootfs.place(where, directory=True).close()

    def _attach(self, rootfs: Rootfs, chosen: Place, wanted: Mount, where: str, clone: Clone | None) -> None:
        if clone is None:
            raise AssertionError(f"{wanted} has no clone")
        if chosen is Place.STAGED:
            with rootfs.place(where, directory=clone.directory) as target:
                move_mount(clone.tree.fileno(), target.fileno(), what=wanted.destination)
            return
        path = self._aside(clone.tree, directory=clone.directory)
        if chosen is Place.LATE:
            self.late.append(LateBind(path, where))
        else:
            # Its flags are on the clone, and locked with it: to a remount with others the kernel would say no.
            options = ("rbind" if clone.flags.recursive else "bind", "rprivate" if clone.flags.propagation == MS_PRIVATE else "rslave")
            self.mounts.append(Mount(where, "bind", path, options))

    def _aside(self, tree: OwnedFd, *, directory: bool) -> str:
        """A clone attached beside the rootfs, where the runtime finds it; the path."""
        area = f"{self.request.stage_dir}/binds"
        with contextlib.suppress(FileExistsError):
            os.mkdir(area, 0o711)
        path = f"{area}/{len(os.listdir(area))}"
        if directory:
            os.mkdir(path, 0o711)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        move_mount(tree.fileno(), path)
        return path

    def _refuse_revealing(self, clones: dict[int, Clone]) -> None:
        """Looks once more at what a recursive clone brought: the host may have mounted something between our look and the clone."""
        if not any(clone.directory and clone.flags.recursive for clone in clones.values()):
            return
        for line in mount_table():
            if line.fstype in REFUSED_TYPES and line.below(os.fsencode(self.request.stage_dir)):
                raise StageRefused(f"a volume carries a {os.fsdecode(line.fstype)} that the host mounted at this moment. Try again.")


def absolute(destination: str) -> str:
    """A destination as both runtimes take it: below the root, with or without a slash in front (POSIX keeps two of them)."""
    return os.path.normpath(f"/{destination.lstrip('/')}")


def _must_be_reachable(stage_dir: str) -> None:
    """Container root walks down to its rootfs as who it is on the host: nobody's but its own rights open a directory to it."""
    directory = stage_dir
    while directory != "/":
        directory = os.path.dirname(directory)
        if not os.stat(directory).st_mode & stat.S_IXOTH:
            raise StageRefused(f"{directory} is closed to container root, which has to walk through it to {stage_dir}. "
                               f"Run chmod o+x {directory}, or take another state directory (--state-dir).")


def overlay_at(engine: OwnedFd, table: tuple[MountEntry, ...]) -> MountEntry | None:
    """The overlay whose root a descriptor is of; None for any other directory."""
    line = mount_of(engine.fileno(), table)
    whole = line.root == b"/" and os.readlink(f"/proc/self/fd/{engine.fileno()}") == os.fsdecode(line.path)
    return line if line.fstype == b"overlay" and whole else None


def mount_table() -> tuple[MountEntry, ...]:
    """The mounts of our mount namespace."""
    with open("/proc/self/mountinfo", "rb") as file:
        return parse_mountinfo(file.read())
