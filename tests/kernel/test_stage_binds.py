"""Volumes: whose ids they show, what they may not carry, where they are attached, and that they are locked."""
import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from eci_supervisor.idmap.maps import shifted
from eci_supervisor.idmap.userns import user_namespace
from eci_supervisor.linux.mount_api import MS_BIND, MS_REC, clone_tree, mount, mount_setattr, move_mount, umount
from eci_supervisor.linux.mount_flags import MOUNT_ATTR_RDONLY
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.spec import Mount
from tests.kernel.ground import DOCKER, IDS, Ground, bind, mounted, owner
from tests.support.isolated import as_container, errno_of, isolated
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root")

SHARED = 1 << 20


def volume(path: Path, uid: int = 0, mode: int = 0o755) -> Path:
    """A directory with a file `there` in it, both `uid`'s."""
    path.mkdir(parents=True)
    (path / "there").write_text("x")
    for one in (path, path / "there"):
        os.chown(one, uid, uid)
    path.chmod(mode)
    return path


def opened(path: str) -> int:
    """The errno of opening it for reading, 0 if that works."""
    return errno_of(lambda: os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC)))


@isolated
def test_below_a_closed_directory_ids_are_the_containers(ground: Ground) -> None:
    source = volume(ground.closed / "volume", uid=33)
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    inside = Path(staged.rootfs) / "data"
    assert as_container(IDS, lambda: (owner(inside / "there"), (inside / "new").write_text("x"))) == ((33, 33), 1)
    assert owner(source / "new") == (0, 0)
    assert staged.warnings == ()


@isolated
def test_a_users_directory_is_container_roots_and_a_set_uid_file_is_the_users(ground: Ground) -> None:
    source = volume(ground.open / "home", uid=1000)
    (source / "roots").write_text("x")
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    inside = Path(staged.rootfs) / "data"

    def work() -> tuple[tuple[int, int], ...]:
        (inside / "suid").write_text("x")
        (inside / "suid").chmod(0o4755)
        (inside / "other").write_text("x")
        os.chown(inside / "other", 33, 33)
        return owner(inside / "there"), owner(inside / "roots"), owner(inside / "other")

    assert as_container(IDS, work) == ((0, 0), (65534, 65534), (33, 33))
    assert owner(source / "suid") == (1000, 1000)
    assert owner(source / "other") == (IDS.start + 33, IDS.start + 33)
    assert staged.warnings == ()


@isolated
def test_host_roots_directory_is_bound_as_it_is_with_a_warning(ground: Ground) -> None:
    source = volume(ground.open / "srv", mode=0o777)
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    inside = Path(staged.rootfs) / "data"
    assert as_container(IDS, lambda: (owner(inside / "there"), (inside / "new").write_text("x"))) == ((65534, 65534), 1)
    assert owner(source / "new") == (IDS.start, IDS.start)
    assert len(staged.warnings) == 1
    assert "bindMounts.identity" in staged.warnings[0]


@isolated
def test_unless_the_settings_list_it(ground: Ground) -> None:
    source = volume(ground.open / "srv")
    staged = ground.stage(ground.rootfs, bind(source, "/data"), identity=frozenset({str(source)}))
    assert as_container(IDS, lambda: owner(f"{staged.rootfs}/data/there")) == (0, 0)
    assert staged.warnings == ()


@isolated
def test_a_closed_directory_with_an_acl_is_open(ground: Ground) -> None:
    source = volume(ground.closed / "volume")
    # version 2; user::rwx, user:1000:--x, group::--x, mask::--x, other::---
    entries = [(1, 7, -1), (2, 1, 1000), (4, 1, -1), (16, 1, -1), (32, 0, -1)]
    acl = b"\2\0\0\0" + b"".join(tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
                                 for tag, bits, who in entries)
    os.setxattr(ground.closed, "system.posix_acl_access", acl)
    assert len(ground.stage(ground.rootfs, bind(source, "/data")).warnings) == 1


@isolated
def test_single_files_over_files_of_the_image_and_over_nothing(ground: Ground) -> None:
    for name in ("hosts", "new"):
        (ground.closed / name).write_text(name)
    (ground.rootfs / "etc").mkdir()
    (ground.rootfs / "etc/hosts").write_text("the image's")
    staged = ground.stage(ground.rootfs, *(bind(ground.closed / name, f"/etc/{name}") for name in ("hosts", "new")))
    etc = Path(staged.rootfs) / "etc"
    assert as_container(IDS, lambda: [(etc / name).read_text() for name in ("hosts", "new")]) == ["hosts", "new"]
    assert as_container(IDS, lambda: owner(etc / "hosts")) == (0, 0)


@isolated
def test_a_read_only_volume_is_locked(ground: Ground) -> None:
    source = volume(ground.closed / "volume")
    mount("tmpfs", str(volume(source / "below")), "tmpfs")
    inside = f"{ground.stage(ground.rootfs, bind(source, '/data', 'ro')).rootfs}/data"

    def attempts() -> list[int]:
        return [
            errno_of(lambda: os.mkdir(f"{inside}/x")),
            errno_of(lambda: os.mkdir(f"{inside}/below/x")),
            errno_of(lambda: mount("", inside, "", MS_BIND | 0x20)),
            errno_of(lambda: mount_setattr(-100, inside, attr_clear=MOUNT_ATTR_RDONLY)),
            errno_of(lambda: umount(inside)),
            errno_of(lambda: umount(inside, 2)),
        ]

    expected = [errno.EROFS, errno.EROFS, errno.EPERM, errno.EPERM, errno.EINVAL, errno.EINVAL]
    assert as_container(IDS, attempts) == expected


@isolated
def test_a_device_node_in_a_volume_does_not_open_and_one_bound_by_itself_does(ground: Ground) -> None:
    os.mknod(volume(ground.closed / "volume") / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    nodes = (Mount("/null", "bind", "/dev/null", ("bind",)), Mount("/dev/null2", "bind", "/dev/null", ("bind", "ro")))
    staged = ground.stage(ground.rootfs, *DOCKER, bind(ground.closed / "volume", "/data"), *nodes)
    copied = staged.mounts[-1]
    assert copied == Mount("/dev/null2", "bind", f"{ground.open}/run/stage/binds/0", ("bind", "rprivate"))
    tried = (f"{staged.rootfs}/data/null", f"{staged.rootfs}/null", copied.source)
    assert as_container(IDS, lambda: [opened(path) for path in tried]) == [errno.EACCES, 0, 0]


@isolated
def test_tmpfs_sources_and_mounts_below_a_source_are_idmapped_too(ground: Ground) -> None:
    source = ground.closed / "volume"
    source.mkdir()
    mount("tmpfs", str(source), "tmpfs")
    (source / "below").mkdir()
    mount("tmpfs", str(source / "below"), "tmpfs")
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    assert as_container(IDS, lambda: (owner(f"{staged.rootfs}/data"), owner(f"{staged.rootfs}/data/below"))) == ((0, 0), (0, 0))
    assert all(mounted(f"{staged.rootfs}/data{name}").idmapped for name in ("", "/below"))


@isolated
def test_a_mount_below_that_cannot_have_the_same_ids_has_none(ground: Ground) -> None:
    source = volume(ground.open / "home", uid=1000)
    volume(source / "mine", uid=1000)
    mount("tmpfs", str(source / "mine"), "tmpfs", 0, "uid=33")
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    assert as_container(IDS, lambda: (owner(f"{staged.rootfs}/data"), owner(f"{staged.rootfs}/data/mine"))) == ((0, 0), (65534, 65534))
    assert [str(source / "mine") in warning for warning in staged.warnings] == [True]


@isolated
def test_a_file_system_that_cannot_be_idmapped_is_bound_with_a_warning(ground: Ground) -> None:
    source = ground.closed / "volume"
    source.mkdir()
    mount("ramfs", str(source), "ramfs")
    staged = ground.stage(ground.rootfs, bind(source, "/data"))
    expected = (f"volume {source} (ramfs) cannot be idmapped by this kernel ({os.uname().release}): files of host ids will "
                "show as nobody. Use a local file system.")
    assert staged.warnings == (expected,)
    assert as_container(IDS, lambda: owner(f"{staged.rootfs}/data")) == (65534, 65534)


@pytest.mark.requires("lxcfs", "fuse")
@isolated
def test_a_file_system_that_a_program_serves_is_bound_with_a_warning(ground: Ground) -> None:
    source = ground.closed / "volume"
    source.mkdir()
    command = ["lxcfs", "-f", "--pidfile", f"{ground.open}/pid", str(source)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: os.path.ismount(source), "it is served")
            staged = ground.stage(ground.rootfs, bind(source, "/data"))
        finally:
            server.kill()
    assert f"volume {source} (fuse.lxcfs) is what a program says it is: it was judged by its path" in staged.warnings[-1]


@isolated
def test_a_source_that_the_engine_has_idmapped_is_taken_as_it_is(ground: Ground) -> None:
    source, mapped = volume(ground.closed / "volume"), ground.closed / "mapped"
    mapped.mkdir()
    with user_namespace(shifted(IDS)) as user, clone_tree(str(source)) as tree:
        mount_setattr(tree.fileno(), userns=user.fileno())
        move_mount(tree.fileno(), str(mapped))
    staged = ground.stage(ground.rootfs, bind(mapped, "/data"))
    assert staged.warnings == ()
    assert as_container(IDS, lambda: owner(f"{staged.rootfs}/data/there")) == (0, 0)


@isolated
@pytest.mark.parametrize("source", ["/proc", "/", "/sys/kernel", "/proc/version"])
def test_a_source_with_a_procfs_or_sysfs_is_refused(ground: Ground, source: str) -> None:
    with pytest.raises(StageRefused, match=r"restricted host mount; it (is on a (proc|sysfs)|contains)"):
        ground.stage(ground.rootfs, bind(source, "/data"))


@isolated
def test_also_one_that_is_hidden_under_another_mount(ground: Ground) -> None:
    place = volume(ground.closed / "volume") / "below"
    place.mkdir()
    mount("proc", str(place), "proc")
    mount("tmpfs", str(place), "tmpfs")
    with pytest.raises(StageRefused, match="carries a proc"):
        ground.stage(ground.rootfs, bind(ground.closed / "volume", "/data"))


@isolated
def test_without_rbind_what_is_mounted_below_is_left_out(ground: Ground) -> None:
    place = volume(ground.closed / "volume") / "below"
    place.mkdir()
    mount("proc", str(place), "proc")
    staged = ground.stage(ground.rootfs, Mount("/data", "bind", str(ground.closed / "volume"), ("bind",)))
    assert os.listdir(f"{staged.rootfs}/data/below") == []


@isolated
@pytest.mark.parametrize(("source", "text"), [
    ("{}/gone", "does not exist on the host"), ("{}/rootfs/x/y", "does not exist"), ("/proc/self/root/etc", "link of procfs"),
])  # fmt: skip
def test_sources_that_cannot_be_bound(ground: Ground, source: str, text: str) -> None:
    with pytest.raises(StageRefused, match=text):
        ground.stage(ground.rootfs, bind(source.format(ground.open), "/data"))


@isolated
@pytest.mark.parametrize(("name", "target"), [
    ("etc", "/"), ("data", "../../../../../.."), ("data", "/{}"), ("data", "/var/../../../x"), ("a", "b"),
])  # fmt: skip
def test_links_of_an_image_lead_to_places_inside(ground: Ground, name: str, target: str) -> None:
    """Nothing is made and nothing is mounted outside the rootfs."""
    (ground.rootfs / "b").mkdir()
    (ground.rootfs / name).symlink_to(target.format(ground.open))
    if not name.startswith("a"):
        (ground.rootfs / target.format(ground.open).strip("./")).mkdir(parents=True, exist_ok=True)
    before = sorted(str(path) for path in ground.open.rglob("*") if not path.is_relative_to(ground.rootfs))
    try:
        staged = ground.stage(ground.rootfs, bind(volume(ground.closed / "volume"), f"/{name}/sub"))
    except StageRefused:
        return
    finally:
        umount(f"{ground.open}/run/stage", 2)
    assert staged.mounts == ()
    after = [str(path) for path in ground.open.rglob("*") if not path.is_relative_to(ground.rootfs)]
    assert sorted(set(after) - {str(ground.closed / "volume"), str(ground.closed / "volume/there")}) == before


@isolated
@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["etc", "/", "nowhere"])
def test_a_link_where_a_tree_belongs_is_refused(ground: Ground, name: str, target: str) -> None:
    (ground.rootfs / "etc").mkdir()
    (ground.rootfs / name).symlink_to(target)
    with pytest.raises(StageRefused, match=f"/{name}.*link"):
        ground.stage(ground.rootfs, *DOCKER)


@isolated
@pytest.mark.parametrize("made", ["file", "fifo", "loop", "dangling"])
def test_a_place_that_is_no_place(ground: Ground, made: str) -> None:
    place = ground.rootfs / "data"
    match made:
        case "file":
            place.touch()
        case "fifo":
            os.mkfifo(place)
        case _:
            place.symlink_to("data" if made == "loop" else "nowhere")
    with pytest.raises(StageRefused, match="/data"):
        ground.stage(ground.rootfs, bind(volume(ground.closed / "volume"), "/data"))
    assert not (ground.rootfs / "nowhere").exists()


@isolated
def test_below_a_mount_of_the_runtimes(ground: Ground) -> None:
    """Writable: the runtime binds our clone. Read-only: the hook attaches it."""
    (ground.rootfs / "run").mkdir()
    (ground.rootfs / "var").mkdir()
    (ground.rootfs / "var/run").symlink_to("/run")
    source = volume(ground.closed / "volume")
    tmpfs = Mount("/run", "tmpfs", "tmpfs")
    staged = ground.stage(ground.rootfs, tmpfs, bind(source, "/var/run/rw", "nosuid"), bind(source, "/run/ro", "ro"))
    assert staged.mounts == (tmpfs, Mount("/run/rw", "bind", f"{ground.open}/run/stage/binds/0", ("rbind", "rprivate")))
    assert [(late.staged, late.destination) for late in staged.late] == [(f"{ground.open}/run/stage/binds/1", "/run/ro")]
    assert os.listdir(f"{staged.rootfs}/run") == []
    assert b"nosuid" in mounted(staged.mounts[1].source).options
    assert b"ro" in mounted(staged.late[0].staged).options
    assert as_container(IDS, lambda: owner(f"{staged.mounts[1].source}/there")) == (0, 0)


@isolated
def test_a_volume_inside_a_volume_gets_its_mount_point_from_container_root(ground: Ground) -> None:
    outer, inner = volume(ground.closed / "outer"), volume(ground.closed / "inner")
    staged = ground.stage(ground.rootfs, bind(outer, "/data"), bind(inner, "/data/deep/inner"))
    assert owner(outer / "deep/inner") == (0, 0)
    assert os.listdir(f"{staged.rootfs}/data/deep/inner") == ["there"]


@isolated
def test_what_the_host_mounts_later_does_not_arrive(ground: Ground) -> None:
    mount("", "/", "", MS_REC | SHARED)
    source = volume(ground.closed / "volume")
    mount("tmpfs", str(source), "tmpfs")
    mount("", str(source), "", SHARED)
    (source / "later").mkdir()
    read, write = os.pipe()
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        inside = ground.stage(ground.rootfs, bind(source, "/data"), Mount("/slave", "bind", str(source), ("rbind", "rshared")))
        os.write(go, b"1" if any("rslave" in warning for warning in inside.warnings) else b"0")
        os.read(read, 1)
        arrived = [os.path.exists(f"{inside.rootfs}/{name}/later/sign") for name in ("data", "slave")]
        os._exit(int(arrived != [False, True]))
    assert os.read(ready, 1) == b"1"
    mount("tmpfs", str(source / "later"), "tmpfs")
    (source / "later/sign").touch()
    os.write(write, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert not any(str(ground.open / "run/stage").encode() in line for line in Path("/proc/self/mountinfo").read_bytes().splitlines())


@isolated
def test_a_source_above_the_staging_area_does_not_carry_it(ground: Ground) -> None:
    inside = ground.stage(ground.rootfs, bind(ground.open / "run", "/data")).rootfs
    assert os.listdir(f"{inside}/data/stage") == []


@isolated
def test_cgroups_get_a_place_that_is_no_sysfs(ground: Ground) -> None:
    cgroup = Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro",))
    staged = ground.stage(ground.rootfs, *DOCKER, cgroup)
    assert [mount.destination for mount in staged.mounts] == ["/dev", "/dev/pts", "/sys", "/sys/fs/cgroup"]
    assert staged.mounts[2].type == "tmpfs"
