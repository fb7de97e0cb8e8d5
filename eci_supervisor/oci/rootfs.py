"""The staged rootfs: a second overlay over idmapped clones of the engine's layers, or an idmapped clone of a plain directory.

Some facts about the second overlay. overlayfs cannot be idmapped, its layers can. It works on them with the credentials of who mounted
it, so it is mounted under the file-system ids of container root: as host root, which has no mapping in the layers, it would turn
read-only, and from inside the user namespace it would lose trusted.* and with it whiteouts. With the engine's own work directory the
engine's mount would break; ours lies beside it. nodev: a device node of an image opens otherwise.
"""
import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.fsuid import FileSystemIds
from eci_supervisor.linux.mount_api import (
    clone_tree,
    fsconfig_create,
    fsconfig_flag,
    fsconfig_string,
    fsmount,
    fsopen,
    mount,
    mount_setattr,
    move_mount,
)
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_NODEV, MS_NODEV, MS_PRIVATE
from eci_supervisor.linux.paths import OVERLAY_WORK
from eci_supervisor.linux.removal import remove_tree
from eci_supervisor.model.ids import IdRange
from eci_supervisor.mounts.mountinfo import MountEntry
from eci_supervisor.oci.overlay import OverlayError, OverlayOptions, parse_options
from eci_supervisor.oci.refusal import StageRefused

_STRING_LIMIT = 255  # of an fsconfig string
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")  # overlayfs reads nothing into these


@dataclass(frozen=True, slots=True)
class Layers:
    """Where the idmapped layers are, as paths below the directory `at`; upper is the directory that holds upperdir, or ""."""

    at: str
    lower: tuple[str, ...]
    data: tuple[str, ...]
    upper: str


def stage_directory(source: int, path: str, line: MountEntry, userns: int, target: str) -> None:
    """The mount of a plain directory, idmapped, at `target`; `source` is an O_PATH descriptor of the one at `path`. Raises StageRefused."""
    tree = clone_tree(source, what=path)
    try:
        mount_setattr(tree.fileno(), attr_set=MOUNT_ATTR_NODEV, propagation=MS_PRIVATE, userns=userns, what=path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        reason = "is idmapped already" if line.idmapped else f"cannot be idmapped by this kernel ({os.uname().release})"
        raise StageRefused(f"rootfs {path} ({os.fsdecode(line.fstype)}) {reason}. Put it on ext4, xfs or btrfs, or use overlay.") from error
    move_mount(tree.fileno(), target)


def stage_overlay(line: MountEntry, userns: int, ids: IdRange, area: str, target: str) -> str:
    """An overlay like that of `line` over idmapped layers, at `target`; `area` is an empty directory for the layers.

    Returns our work directory's path, "" for an overlay without upper layer. Raises StageRefused.
    """
    options, base, upper = _described(line)
    layers = _idmapped(options, base, upper, userns, area)
    with FileSystemIds(ids.start):
        if upper:
            _fresh_work(f"{area}/{layers.upper}/{OVERLAY_WORK}")
        try:
            tree = by_layer(layers, options, os.path.basename(upper))
        except OSError as error:
            if error.errno != errno.EINVAL:  # no `lowerdir+` before Linux 6.7
                raise
            by_string(layers, options, os.path.basename(upper), target)
        else:
            move_mount(tree.fileno(), target)
    return _beside(upper)


def work_directory(line: MountEntry) -> str:
    """Where stage_overlay() makes its work directory for such an overlay; "" if it needs none. Raises StageRefused."""
    return _beside(_described(line)[2])


def _beside(upper: str) -> str:
    return os.path.join(os.path.dirname(upper), OVERLAY_WORK) if upper else ""


def _described(line: MountEntry) -> tuple[OverlayOptions, str, str]:
    """Its options, the directory that relative ones are relative to, and upperdir's absolute path or "". Raises StageRefused."""
    try:
        options = parse_options(line.super_options)
    except OverlayError as error:
        raise StageRefused(f"rootfs {os.fsdecode(line.path)}: {error}.") from error
    base = _base(options, os.fsdecode(line.path))
    return options, base, os.path.normpath(os.path.join(base, options.upper)) if options.upper else ""


def _base(options: OverlayOptions, mount_point: str) -> str:
    """The directory that relative layers are relative to: the nearest one above upperdir or the mount point that has them all."""
    if not options.relative:
        return "/"
    directory = options.upper if options.upper.startswith("/") else mount_point
    while directory != "/":
        directory = os.path.dirname(directory)
        if all(os.path.exists(f"{directory}/{path}") for path in options.relative):
            return directory
    raise StageRefused(f"rootfs {mount_point} is an overlay of relative layers ({options.relative[0]} …) that cannot be found.")


def _idmapped(options: OverlayOptions, base: str, upper: str, userns: int, area: str) -> Layers:
    """Idmapped clones of all layers below `area`: one of the directory they have in common where that shows them all, else one each."""
    real = [_real(os.path.join(base, path)) for path in (*options.lower, *options.data)]
    if upper:
        real.append(_real(os.path.dirname(upper)))
    common = os.path.commonpath(real)
    shared = common if len(real) > 2 and common != "/" else ""
    if shared:
        _attach(shared, userns, f"{area}/c")
    paths = []
    for index, path in enumerate(real):
        relative = f"c{path[len(shared):]}"
        if not shared or not _usable(area, relative, path):
            relative = str(index)
            _attach(path, userns, f"{area}/{relative}")
        paths.append(relative)
    lower, data = len(options.lower), len(options.data)
    return Layers(area, tuple(paths[:lower]), tuple(paths[lower : lower + data]), paths[-1] if upper else "")


def _real(path: str) -> str:
    """The path of a directory with every link followed; the engine's short names of layers are links."""
    try:
        with OwnedFd(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
            return os.readlink(f"/proc/self/fd/{fd.fileno()}")
    except OSError as error:
        raise StageRefused(f"rootfs: layer {path}: {error.strerror}. Pull the image again.") from error


def _usable(area: str, relative: str, path: str) -> bool:
    """Whether `relative` leads to the directory `path`, and not below a mount on it, by a name that needs no escapes."""
    if not _PLAIN.issuperset(relative) or len(area) + 1 + len(relative) > _STRING_LIMIT:
        return False
    try:
        return os.path.samefile(f"{area}/{relative}", path)
    except OSError:
        return False


def _attach(source: str, userns: int, at: str) -> None:
    tree = clone_tree(source)
    try:
        mount_setattr(tree.fileno(), attr_set=MOUNT_ATTR_NODEV, propagation=MS_PRIVATE, userns=userns, what=source)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        raise StageRefused(f"rootfs: layer {source} cannot be idmapped by this kernel ({os.uname().release}): its file system does not "
                           "allow it. Put the engine's data on ext4, xfs or btrfs.") from error
    os.mkdir(at)
    move_mount(tree.fileno(), at)


def _fresh_work(path: str) -> None:
    """An empty work directory; what an earlier container left in it goes: a mark of `volatile` would refuse the mount."""
    remove_tree(path)
    os.mkdir(path, 0o700)


def by_layer(layers: Layers, options: OverlayOptions, upper: str) -> OwnedFd:
    """The overlay as a detached mount, each layer an option of its own: there is no limit to all of them together."""
    with fsopen("overlay") as context:
        fd = context.fileno()
        fsconfig_string(fd, "source", "overlay")
        for path in layers.lower:
            fsconfig_string(fd, "lowerdir+", f"{layers.at}/{path}")
        for path in layers.data:
            fsconfig_string(fd, "datadir+", f"{layers.at}/{path}")
        if upper:
            fsconfig_string(fd, "upperdir", f"{layers.at}/{layers.upper}/{upper}")
            fsconfig_string(fd, "workdir", f"{layers.at}/{layers.upper}/{OVERLAY_WORK}")
        for key, _, value in (option.partition("=") for option in ("index=off", *options.kept)):
            fsconfig_string(fd, key, value) if value else fsconfig_flag(fd, key)
        fsconfig_create(fd)
        return fsmount(fd, MOUNT_ATTR_NODEV)


def by_string(layers: Layers, options: OverlayOptions, upper: str, target: str) -> None:
    """The same by mount(2), whose options are one page: links with names of one to three digits, relative to the layers' directory."""
    with _inside(layers.at):
        for index, path in enumerate((*layers.lower, *layers.data)):
            os.symlink(path, f"l{index}")
        names = [f"l{index}" for index in range(len(layers.lower) + len(layers.data))]
        lower = ":".join(names[: len(layers.lower)]) + "".join(f"::{name}" for name in names[len(layers.lower) :])
        words = [f"lowerdir={lower}", "index=off", *options.kept]
        if upper:
            words += [f"upperdir={layers.upper}/{upper}", f"workdir={layers.upper}/{OVERLAY_WORK}"]
        mount("overlay", target, "overlay", MS_NODEV, ",".join(words))


@contextlib.contextmanager
def _inside(directory: str) -> Iterator[None]:
    """The working directory is `directory` meanwhile."""
    with OwnedFd(os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as before:
        os.chdir(directory)
        try:
            yield
        finally:
            os.fchdir(before.fileno())
