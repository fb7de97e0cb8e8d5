"""The staged rootfs: what its container sees and does, what is on disk, and what the engine's own mount does meanwhile."""
import errno
import os
import stat
from pathlib import Path

import pytest

from eci_supervisor.linux.mount_api import mount, mount_setattr
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY
from eci_supervisor.linux.paths import OVERLAY_WORK
from eci_supervisor.oci import rootfs
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.stage import overlay_work
from tests.kernel.ground import DOCKER, IDS, Ground, is_whiteout, mounted, owner
from tests.support.isolated import as_container, errno_of, isolated

pytestmark = pytest.mark.requires("root")


@isolated
def test_an_overlay_is_shown_shifted_and_written_unshifted(ground: Ground) -> None:
    (ground.layer(0) / "lower").write_text("lower")
    (ground.layer(0) / "gone").write_text("gone")
    (ground.layer(1) / "users").mkdir()
    os.chown(ground.layer(1) / "users", 1000, 1000)
    staged = ground.stage(ground.engine_overlay(), *DOCKER)
    inside = Path(staged.rootfs)

    def work() -> tuple[object, ...]:
        seen = owner(inside / "lower"), owner(inside / "users")
        with (inside / "lower").open("a") as file:
            file.write("+")
        (inside / "gone").unlink()
        (inside / "new").mkdir()
        os.chown(inside / "new", 33, 33)
        return seen

    assert as_container(IDS, work) == ((0, 0), (1000, 1000))
    assert (ground.upper / "lower").read_text() == "lower+"
    assert is_whiteout(ground.upper / "gone")
    assert (owner(ground.upper / "lower"), owner(ground.upper / "gone"), owner(ground.upper / "new")) == ((0, 0), (0, 0), (33, 33))
    assert staged.overlay_work == str(ground.closed / "overlay/top" / OVERLAY_WORK) == overlay_work(str(ground.merged))
    assert owner(staged.overlay_work) == (0, 0)
    assert staged.engine_overlay is not None
    assert staged.our_overlay is not None


@isolated
def test_what_the_images_layers_delete_stays_deleted(ground: Ground) -> None:
    (ground.layer(0) / "deleted").write_text("x")
    (ground.layer(0) / "opaque").mkdir()
    (ground.layer(0) / "opaque/hidden").write_text("x")
    os.mknod(ground.layer(1) / "deleted", stat.S_IFCHR, 0)
    (ground.layer(1) / "opaque").mkdir()
    os.setxattr(ground.layer(1) / "opaque", "trusted.overlay.opaque", b"y")
    inside = Path(ground.stage(ground.engine_overlay()).rootfs)
    assert as_container(IDS, lambda: ((inside / "deleted").exists(), os.listdir(inside / "opaque"))) == (False, [])


@isolated
def test_the_engines_own_mount_works_on(ground: Ground) -> None:
    """With the engine's work directory it would not: copy-up EPERM, unlink of a lower file ENOENT."""
    for name in ("a", "b"):
        (ground.layer(0) / name).write_text(name)
    merged = ground.engine_overlay()
    inside = Path(ground.stage(merged).rootfs)
    as_container(IDS, lambda: (inside / "inside").write_text("x"))
    with (merged / "a").open("a") as file:
        file.write("+")
    (merged / "b").unlink()
    (merged / "new").write_text("new")
    assert (ground.upper / "a").read_text() == "a+"
    assert is_whiteout(ground.upper / "b")
    assert as_container(IDS, (inside / "new").read_text) == "new"


@isolated
def test_a_device_node_of_an_image_does_not_open(ground: Ground) -> None:
    os.mknod(ground.layer(0) / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    inside = ground.stage(ground.engine_overlay()).rootfs

    def attempts() -> list[int]:
        return [errno_of(lambda: os.open(f"{inside}/null", os.O_RDONLY)),
                errno_of(lambda: mount_setattr(-100, inside, attr_clear=MOUNT_ATTR_NODEV))]

    assert as_container(IDS, attempts) == [errno.EACCES, errno.EPERM]


@isolated
def test_a_plain_directory(ground: Ground) -> None:
    (ground.rootfs / "file").write_text("x")
    os.mknod(ground.rootfs / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    staged = ground.stage(ground.rootfs)
    inside = Path(staged.rootfs)
    assert (staged.overlay_work, staged.engine_overlay, staged.our_overlay) == ("", None, None)
    assert as_container(IDS, lambda: owner(inside / "file")) == (0, 0)
    assert as_container(IDS, lambda: errno_of(lambda: os.open(inside / "null", os.O_RDONLY))) == errno.EACCES
    as_container(IDS, lambda: (inside / "new").write_text("x"))
    assert owner(ground.rootfs / "new") == (0, 0)


@isolated
def test_a_file_system_that_cannot_be_idmapped_is_no_rootfs(ground: Ground) -> None:
    mount("ramfs", str(ground.rootfs), "ramfs")
    with pytest.raises(StageRefused, match=r"rootfs .*/rootfs \(ramfs\) cannot be idmapped by this kernel"):
        ground.stage(ground.rootfs)


@isolated
def test_a_directory_inside_an_overlay_cannot_be_idmapped(ground: Ground) -> None:
    merged = ground.engine_overlay()
    (merged / "bundle").mkdir()
    with pytest.raises(StageRefused, match=r"\(overlay\) cannot be idmapped"):
        ground.stage(merged / "bundle")


@isolated
def test_many_layers_by_short_names_relative_to_the_engines_directory(ground: Ground) -> None:
    """As Docker does it when the paths are too long for a page: `l/NAME`, links, from the directory of all layers."""
    (ground.closed / "overlay/l").mkdir(parents=True)
    names = []
    for number in range(120):
        (ground.layer(number) / f"file{number}").write_text("x")
        (ground.closed / f"overlay/l/{number:026}").symlink_to(f"../{number:064x}/diff")
        names.append(f"l/{number:026}")
    merged = ground.engine_overlay(lower=":".join(names), relative_to=str(ground.closed / "overlay"))
    inside = Path(ground.stage(merged).rootfs)
    assert len(as_container(IDS, lambda: list(inside.glob("file*")))) == 120


@isolated
def test_layers_on_file_systems_of_their_own(ground: Ground) -> None:
    """What is mounted below the directory that all layers have in common is not part of its clone."""
    for number in range(3):
        mount("tmpfs", str(ground.layer(number)), "tmpfs")
        (ground.layer(number) / f"file{number}").write_text("x")
    inside = Path(ground.stage(ground.engine_overlay(3)).rootfs)
    assert {"file0", "file1", "file2"} <= set(as_container(IDS, lambda: os.listdir(inside)))


@isolated
def test_layers_whose_names_overlayfs_would_misread(ground: Ground) -> None:
    odd = ground.closed / "overlay/a:b,c\\d e"
    odd.mkdir(parents=True)
    (odd / "odd").write_text("x")
    quoted = str(odd).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
    merged = ground.engine_overlay(lower=f"{quoted}:{ground.layer(0)}")
    inside = Path(ground.stage(merged).rootfs)
    assert as_container(IDS, (inside / "odd").read_text) == "x"


@isolated
def test_options_that_change_what_layers_mean_are_taken_over(ground: Ground) -> None:
    merged = ground.engine_overlay(options="index=off,metacopy=on,redirect_dir=on,volatile")
    inside = ground.stage(merged).rootfs
    assert {b"metacopy=on", b"redirect_dir=on"} <= set(mounted(inside).super_options)
    assert {b"volatile", b"fsync=volatile"} & set(mounted(inside).super_options), "by the kernel's age"
    assert mounted(inside).source == b"overlay"


@isolated
def test_the_next_create_finds_our_work_directory_empty(ground: Ground) -> None:
    """A volatile overlay leaves a mark in it that would refuse the next mount."""
    mark = ground.closed / "overlay/top" / OVERLAY_WORK / "work/incompat/volatile"
    mark.mkdir(parents=True)
    ground.stage(ground.engine_overlay(options="index=off,volatile"))


@isolated
def test_an_overlay_without_an_upper_layer(ground: Ground) -> None:
    for number in range(2):
        for name in ("proc", "sys", "dev"):
            (ground.layer(number) / name).mkdir()
    ground.merged.mkdir(parents=True)
    mount("overlay", str(ground.merged), "overlay", 0, f"lowerdir={ground.layer(0)}:{ground.layer(1)}")
    staged = ground.stage(ground.merged, read_only=True)
    assert staged.overlay_work == ""
    assert as_container(IDS, lambda: errno_of(lambda: os.mkdir(f"{staged.rootfs}/x"))) == errno.EROFS


@isolated
def test_the_form_for_kernels_without_lowerdir_plus(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 6.1 says EINVAL to `lowerdir+`. What comes then is mount(2), here with as many layers as there can be."""
    def refused(*_: object) -> None:
        raise OSError(errno.EINVAL, "lowerdir+")

    monkeypatch.setattr(rootfs, "by_layer", refused)
    for number in range(120):
        (ground.layer(number) / f"file{number}").write_text("x")
    (ground.closed / "overlay/l").mkdir()
    names = []
    for number in range(120):
        (ground.closed / f"overlay/l/{number}").symlink_to(f"../{number:064x}/diff")
        names.append(f"l/{number}")
    before = os.getcwd()
    inside = Path(ground.stage(ground.engine_overlay(lower=":".join(names), relative_to=str(ground.closed / "overlay"))).rootfs)
    assert os.getcwd() in (before, "/")
    assert b"nodev" in mounted(inside).options
    as_container(IDS, (inside / "file0").unlink)
    assert is_whiteout(ground.upper / "file0")


@isolated
def test_a_read_only_rootfs_has_every_mount_point_and_is_locked(ground: Ground) -> None:
    (ground.layer(0) / "etc").mkdir()
    merged = ground.engine_overlay()
    inside = ground.stage(merged, *DOCKER, read_only=True).rootfs
    assert {"dev", "proc", "sys", "etc"} <= set(os.listdir(inside))
    assert not os.path.exists(f"{inside}/dev/pts")

    def attempts() -> list[int]:
        return [errno_of(lambda: os.mkdir(f"{inside}/x")), errno_of(lambda: mount_setattr(-100, inside, attr_clear=MOUNT_ATTR_RDONLY))]

    assert as_container(IDS, attempts) == [errno.EROFS, errno.EPERM]


@isolated
def test_a_state_directory_that_container_root_cannot_reach(ground: Ground) -> None:
    (ground.open / "run").chmod(0o700)
    with pytest.raises(StageRefused, match="chmod o\\+x"):
        ground.stage(ground.rootfs)
