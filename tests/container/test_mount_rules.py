"""Acceptance 77: what an admin's rule for file system types makes of mount(2) and of the new mount API, also while the name flips."""
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch, write_rules
from tests.container.lines import machine, said
from tests.support.bundle import bind, mount
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FUSE_MAGIC, TMPFS_MAGIC = "65735546", "1021994"


@pytest.fixture
def ruled(containers: Launch, runtime: Runtime) -> Iterator[Container]:
    """All capabilities, but no overlay and no ramfs."""
    write_rules(runtime, mountTypes={"type": "deny", "list": ["overlay", "ramfs"]})
    yield containers(privileged=True).up()
    runtime.settings.unlink()


def probed(container: Container, *steps: str) -> list[str]:
    return container.probe(*" , ".join(steps).split())


def test_77_denied_types_by_both_ways(ruled: Container) -> None:
    table = Path(f"/proc/{ruled.pid}/mountinfo")
    before = table.read_text()
    layers = "lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w"
    assert probed(ruled, f"mount o /t overlay - {layers}", "mount o /t overlay.x -", "mount r /t ramfs magic", "fsopen overlay",
                  "fsopen ramfs", "userns", "unshare mnt", "mount r /t ramfs -", "fsopen overlay") == [
        "mount: EPERM", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM", "userns: OK", "unshare: OK", "mount: EPERM",
        "fsopen: EPERM"]
    assert table.read_text() == before


def test_77_other_types_are_as_without_the_rule(ruled: Container) -> None:
    """Emulated with the copies: options, flags, source, relative targets, errors."""
    lines = probed(
        ruled, "unshare mnt", "mount name /t tmpfs ro+nosuid size=64k,mode=700", "statfs /t", "mknod /t/x c 0 0", "umount /t",
            "chdir /home",
        "mount - user tmpfs -", "statfs /home/user", "umount /home/user", "mount x /t tmpfs - bogus=1", "mount x /t nosuch -",
        "mount x /none tmpfs -", "mount x /etc/passwd tmpfs -", "mount x /t - -", "mount x /t ext4 -", "fsopen tmpfs", "fsopen nosuch",
        "mount proc /t proc -", "statfs /t/uptime", "umount /t", "fsopen proc", "unshare ipc+cgroup",
        "mount m /t mqueue -", "mount c /t cgroup2 -")
    assert lines == [
        "unshare: OK", "mount: OK", f"/t is {TMPFS_MAGIC}", "statfs: OK", "mknod: EROFS", "umount: OK", "chdir: OK", "mount: OK",
        f"/home/user is {TMPFS_MAGIC}", "statfs: OK", "umount: OK", "mount: EINVAL", "mount: ENODEV", "mount: ENOENT", "mount: ENOTDIR",
        "mount: EINVAL", "mount: EPERM", "fsopen: OK", "fsopen: ENODEV", "mount: OK", f"/t/uptime is {FUSE_MAGIC}", "statfs: OK",
        "umount: OK", "fsopen: OK", "unshare: OK", "mount: OK", "mount: OK"]
    mounted = ruled.sh("mount -t tmpfs -o size=64k,nodev,noatime name /t && grep ' /t ' /proc/self/mountinfo; umount /t").ok().out
    assert "nodev,noatime" in mounted
    assert "tmpfs name rw,size=64k" in mounted


def test_77_an_unprivileged_user_gets_the_kernels_errno(ruled: Container) -> None:
    assert probed(ruled, "setuid 1000", "mount x /t tmpfs -", "mount x /t overlay -", "fsopen tmpfs", "fsopen proc") == [
        "setuid: OK", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM"]


def test_77_a_name_that_flips_never_mounts_what_is_denied(ruled: Container) -> None:
    assert ruled.exec("attack", "flip-denied", "1", "/t").ok().lines == ["tmpfs, ramfs 0"]


def test_77_fuse_by_a_descriptor_of_the_callers(containers: Launch, runtime: Runtime, closed: Path) -> None:
    """The number that the options name is the caller's own, and leads to /dev/fuse."""
    write_rules(runtime, mountTypes={"type": "deny", "list": ["overlay"]})
    try:
        container = machine(containers, closed)
    finally:
        runtime.settings.unlink()
    seen = said(container, "fuse", "line_66", "line_66_devices")
    assert seen["line_66"][:2] == ["OK", "OK"]
    assert seen["line_66"][-2:] == ["ENOENT", "OK"]
    assert seen["line_66_devices"] == [*("EINVAL",) * 5, "OK", "EINVAL"]


def test_77_only_what_is_listed(containers: Launch, runtime: Runtime) -> None:
    write_rules(runtime, mountTypes={"type": "allow", "list": ["tmpfs"]})
    try:
        container = containers(privileged=True).up()
    finally:
        runtime.settings.unlink()
    assert probed(container, "mount x /t tmpfs -", "mount x /mnt proc -", "mount x /mnt sysfs -", "mount x /mnt devpts -", "fsopen proc",
                  "fsopen mqueue", "fsopen tmpfs", "umount /t", "mount x /mnt nosuch -", "fsopen nosuch") == [
        "mount: OK", "mount: EPERM", "mount: EPERM", "mount: EPERM", "fsopen: EPERM", "fsopen: EPERM", "fsopen: OK", "umount: OK",
        "mount: ENODEV", "fsopen: ENODEV"]


@pytest.fixture
def listed(containers: Launch, runtime: Runtime, closed: Path) -> Iterator[Container]:
    """The volume at /data, with a file `there` and a directory `sub`, is not to be bound again; /plain and /srv/other are."""
    others = closed.parent / "other"
    for path in (closed / "sub", closed / "sub/deep", others):
        path.mkdir()
    write_rules(runtime, mountSources=[str(closed)])
    yield containers(privileged=True, mounts=(
        bind(closed, "/data"), bind(closed / "sub", "/srv/part"), bind(closed / "there", "/srv/file"), bind(others, "/plain"))).up()
    runtime.settings.unlink()


def test_78_a_listed_volume_is_not_bound_again(listed: Container) -> None:
    """By name, link, descriptor, sub-directory, file, open_tree; what is above it is not copied with it; nor is it a layer."""
    listed.sh("mkdir -p /t/a /t/b /t/c /t/u /t/w /jail/d; touch /t/f; ln -s /data /link; echo x > /jail/d/x").ok()
    layers = "lowerdir=/data:/plain"
    lines = probed(
        listed, "mount /data /t/a - bind -", "mount /link /t/a - bind -", "mount-of /data /t/a - bind -", "mount /data/sub /t/a - bind -",
        "mount /data/sub/deep /t/a - bind+rec -", "mount /data/there /t/f - bind -", "mount /srv/part /t/a - bind -",
        "mount /srv/part/deep /t/a - bind -", "mount /srv/file /t/f - bind -", "open-tree /data", "open-tree /data/sub",
        "open-tree /data rec", "open-tree /srv/file", "mount / /t/a - bind+rec -", "mount / /t/a - bind -",
        "mount /srv /t/a - bind+rec -", "open-tree / rec", f"mount o /t/a overlay - {layers}", "fsopen overlay", "unshare mnt",
        "mount /data /t/a - bind -", "mount / /t/a - bind+rec -", "chdir /data", "mount . /t/a - bind -", "mount sub /t/a - bind -",
        "chroot /data/sub", "mount /deep /deep - bind -")
    assert [line for line in lines if not line.endswith(": EPERM")] == ["unshare: OK", "chdir: OK", "chroot: OK"]
    assert len(lines) == 27
    nested = ("userns", "unshare mnt")
    assert probed(listed, *nested, "mount /data /t/a - bind -", "mount / /t/a - bind+rec -", "mount /plain /t/a - bind -",
                  "open-tree /data/sub", "umount /t/a") == [
        "userns: OK", "unshare: OK", "mount: EPERM", "mount: EPERM", "mount: OK", "open-tree: EPERM", "umount: OK"]
    assert probed(listed, "setuid 1000", "mount /plain /t/a - bind -", *nested, "mount /data /t/a - bind -",
                  "mount /home /mnt - bind -") == [
        "setuid: OK", "mount: EPERM", "userns: OK", "unshare: OK", "mount: EPERM", "mount: OK"]
    listed.sh("ln -s /plain /flips; ln -s /data /flips.other").ok()  # a name that flips, in memory and on disk: links that change places
    assert listed.exec("attack", "flip-place", "1", "/plain", "/data", "/flips", "/t/b").ok().lines == ["free, listed 0"]


@pytest.fixture
def below_a_tmpfs(containers: Launch, runtime: Runtime, closed: Path) -> Iterator[Container]:
    """The listed volume below a tmpfs of the runtime's, once as it is and once read-only; what holds it is no directory of the image."""
    (closed.parent / "other").mkdir()
    write_rules(runtime, mountSources=[str(closed)])
    yield containers(privileged=True, mounts=(
        mount("/run", "tmpfs", "tmpfs", "mode=755"), bind(closed, "/run/deep/data"), bind(closed, "/run/fixed", "ro"),
        bind(closed.parent / "other", "/run/other"))).up()
    runtime.settings.unlink()


def test_78_nor_is_what_it_is_mounted_below_copied(below_a_tmpfs: Container) -> None:
    """Whatever that is by now: a tmpfs of the runtime's or the container's, a root made by pivot_root, another name, hidden, moved."""
    below_a_tmpfs.sh("mkdir -p /t/a /t/b /t/c /t/d").ok()
    lines = probed(
        below_a_tmpfs, "mount /run /t/a - bind+rec -", "open-tree /run rec",
        "mount /run/deep /t/a - bind+rec -", "mount / /t/a - bind+rec -", "unshare mnt", "rename /run/deep /run/moved",
        "mount /run/moved /t/a - bind+rec -", "chdir /run", "mount x /run tmpfs - -", "mount . /t/a - bind+rec -", "open-tree . rec",
        "mount x /t/b tmpfs - -", "mkdir /t/b/o", "pivot /t/b /t/b/o", "chdir /", "mkdir /a", "mount / /a - bind+rec -",
        "umount /o/run", "mount /o/run /a - bind+rec -", "mount /o /a - bind+rec -", "mount o /a - move -", "move-mount /o /a",
        "open-tree / rec", "chroot /o/t", "mount /a /d - bind+rec -", "mount / /d - bind+rec -")
    assert [line for line in lines if not line.endswith(": OK")] == [
        "mount: EPERM", "open-tree: EPERM", *("mount: EPERM",) * 4, "open-tree: EPERM", *("mount: EPERM",) * 4,
        "move-mount: EPERM", "open-tree: EPERM"]
    assert len(lines) == 26


def test_78_a_bind_of_the_one_mount_takes_nothing_along(below_a_tmpfs: Container) -> None:
    below_a_tmpfs.sh("mkdir -p /t/a").ok()
    assert probed(below_a_tmpfs, "mount /run /t/a - bind -", "open /run/deep/data/there", "open /t/a/deep/data/there", "umount /t/a") == [
        "mount: OK", "open: OK", "open: ENOENT", "umount: OK"]


def test_78_what_no_table_shows_is_not_copied_either(below_a_tmpfs: Container) -> None:
    """The old root is mounted in a directory that leaves what is mounted of the image, and comes back after the copy."""
    below_a_tmpfs.sh("mkdir -p /t/dir/a/x /t/dir/n /t/b").ok()
    lines = probed(
        below_a_tmpfs, "unshare mnt", "mount /t/dir /t/b - bind -", "pivot /t/b /t/b/a/x", "chdir /", "mount x /n tmpfs - -",
        "mkdir /n/b", "mkdir /n/c", "mkdir /n/d", "pivot /n /n/b", "chdir /b/a/x/t", "rename dir/a moved", "mount / /c - bind+rec -",
        "mount /b /c - move -", "mount x /d tmpfs - -", "mount /d /c - bind+rec -", "umount /c", "mount /d /c - move -",
        "rename moved dir/a", "open /b/a/x/run/fixed/there")
    assert [line for line in lines if not line.endswith(": OK")] == ["mount: EPERM"] * 2


def test_78_a_move_to_a_shared_mount_copies(below_a_tmpfs: Container) -> None:
    """To each of its peers; so nothing listed is moved, nor what it lies below."""
    below_a_tmpfs.sh("mkdir -p /t/p /t/q").ok()
    lines = probed(
        below_a_tmpfs, "unshare mnt", "mount x /t/p tmpfs - -", "mount x /t/p - shared -", "mount /t/p /t/q - bind -", "mkdir /t/p/x",
        "mount /run /t/p/x - move -", "mount /run/deep/data /t/p/x - move -", "move-mount /run /t/p/x", "mount /run/other /t/p/x - move -",
        "umount /t/q/x")
    assert [line for line in lines if not line.endswith(": OK")] == [*("mount: EPERM",) * 2, "move-mount: EPERM"]


def test_78_a_volume_that_comes_to_lie_below_the_source_while_it_is_copied(below_a_tmpfs: Container) -> None:
    """By a rename of the directory it is mounted in: of a name, and back."""
    below_a_tmpfs.sh("mkdir -p /run/source/m /t/a; mount -t tmpfs m /run/source/m").ok()
    words = ("2", "/run/source", "/run/deep", "/run/source/in", "/t/a", "/t/a/in/data/there")
    assert below_a_tmpfs.exec("attack", "flip-into", *words).ok().lines == ["copied, listed 0"]


def test_78_mounts_that_come_and_go_elsewhere_are_nothing_against_a_copy(below_a_tmpfs: Container) -> None:
    """It is looked at again, and again; no rule is against it."""
    below_a_tmpfs.sh("mkdir -p /run/source/m /t/a /t/b; mount -t tmpfs m /run/source/m").ok()
    below_a_tmpfs.sh("while mount -t tmpfs b /t/b; do umount /t/b; done >/dev/null 2>&1 &").ok()
    said = probed(below_a_tmpfs, *("mount /run/source /t/a - bind+rec -", "umount /t/a detach") * 30)
    assert "mount: OK" in said
    assert "mount: EPERM" not in said


def test_78_what_has_other_mounts_below_it_is_copied_with_them(below_a_tmpfs: Container) -> None:
    below_a_tmpfs.sh("mkdir -p /t/a /t/b/c /t/b/d").ok()
    lines = probed(
        below_a_tmpfs, "mount /run/other /t/b/c - bind -", "mount /t/b /t/a - bind+rec -", "mount /t/b/c /t/b/d - bind+rec -",
        "umount /t/a/c", "umount /t/a", "mount /proc /t/a - bind -", "statfs /t/a/uptime", "umount /t/a detach",
        "mount /dev /t/a - bind+rec -", "open /t/a/mqueue", "umount /t/a detach", "open-tree /t/b rec", "unshare mnt", "chroot /t",
        "mount /b /a - bind+rec -", "umount /a/c")
    assert [line for line in lines if not line.endswith(": OK")] == [f"/t/a/uptime is {FUSE_MAGIC}"]


def test_78_all_else_is_bound_as_without_the_rule(listed: Container) -> None:
    listed.sh("mkdir -p /t/a /t/b /plain/l /t/u /t/w; echo p > /plain/file; echo l > /plain/l/low; touch /t/f").ok()
    lines = probed(
        listed, "mount /plain /t/a - bind -", "open /t/a/file", "mount /t/a/file /t/f - bind -", "open /t/f", "umount /t/f",
        "umount /t/a", "mount /t /t/a - bind+rec -", "umount /t/a", "mount /proc /t/a - bind -", "statfs /t/a/uptime",
        "umount /t/a detach", "mount-of /proc /t/a - bind+rec -", "umount /t/a detach", "mount /dev/null /t/f - bind -", "open /t/f rw",
        "umount /t/f", "open-tree /plain", "open-tree /proc rec", "open-tree /plain/file", "mount /nowhere /t/a - bind -",
        "mount /plain /nowhere - bind -", "mount /plain /t/f - bind -", "mount - /t/a - bind -", "mount x /t/a tmpfs - -",
        "mount /t/a /t/b - move -", "umount /t/b", "chdir /t", "mount b a - bind -", "umount a", "chroot /t", "mount /a /b - bind -",
        "umount /b", "open-tree-attr /data", "open-tree-attr /plain")
    assert lines == [
        "mount: OK", "open: OK", "mount: OK", "open: OK", "umount: OK", "umount: OK", "mount: OK", "umount: OK", "mount: OK",
        f"/t/a/uptime is {FUSE_MAGIC}", "statfs: OK", "umount: OK", "mount-of: OK", "umount: OK", "mount: OK", "open: OK", "umount: OK",
        "open-tree: OK", "open-tree: OK", "open-tree: OK", "mount: ENOENT", "mount: ENOENT", "mount: ENOTDIR", "mount: EINVAL", "mount: OK",
        "mount: OK", "umount: OK", "chdir: OK", "mount: OK", "umount: OK", "chroot: OK", "mount: OK", "umount: OK",
        "open-tree-attr: ENOSYS", "open-tree-attr: ENOSYS"]
    # Layers are looked up where the caller stands.
    listed.sh("mkdir -p /s; mount -t tmpfs s /s; mkdir -p /s/low /s/u /s/w /s/m; echo low > /s/low/file").ok()
    for options in ("lowerdir=/s/low,upperdir=/s/u,workdir=/s/w,userxattr", "lowerdir=low:/plain"):
        assert probed(listed, "chdir /s", f"mount o /s/m overlay - {options}", "open /s/m/file", "umount /s/m") == [
            "chdir: OK", "mount: OK", "open: OK", "umount: OK"], options


@pytest.fixture
def guarded(containers: Launch, runtime: Runtime, closed: Path) -> Iterator[Container]:
    """Nothing may be mounted on the volumes at /data and /srv/file, and device nodes may be made; the filter asks as little as it may."""
    (closed / "sub").mkdir()
    write_rules(runtime, mountTargets=["volume:/data", "volume:/srv/file", "volume:/not/here"], mknod=True, trap="needed")
    yield containers(privileged=True, mounts=(bind(closed, "/data"), bind(closed / "there", "/srv/file"))).up()
    runtime.settings.unlink()


def test_nothing_is_mounted_on_a_listed_target(guarded: Container) -> None:
    """By name, link, descriptor; below it; on a copy of it, elsewhere; moved there by both ways."""
    guarded.sh("mkdir -p /t/a /t/b; ln -s /data /link; touch /t/f; mount -t tmpfs x /t/a; mkdir /t/a/in").ok()
    lines = probed(
        guarded, "mount x /data tmpfs - -", "mount x /link/sub tmpfs - -", "mount-fd x /data tmpfs - -", "mount p /data proc - -",
        "mount s /data/sub sysfs - -", "mount /t/b /data - bind -", "mount /t/b /data - bind+rec -", "mount /t/f /srv/file - bind -",
        "mount /t/f /data/there - bind -", "mount /t/a /data - move -", "move-mount /t/a /data", "open-onto /t/b /data/sub",
        "mknod /data/null c 1 3", "mount /data /t/b - bind -", "mount x /t/b tmpfs - -", "mount x /t/b/sub tmpfs - -", "umount /t/b",
        "unshare mnt", "mount x /data tmpfs - -", "chroot /data/sub", "mount x / tmpfs - -")
    assert [line for line in lines if not line.endswith(": EPERM")] == ["mount: OK", "umount: OK", "unshare: OK", "chroot: OK"]
    guarded.sh("ln -s /t/b /flips; ln -s /data /flips.other").ok()
    assert guarded.exec("attack", "flip-place", "1", "/t/b", "/data", "/flips").ok().lines == ["free, listed 0"]
    lines = probed(
        guarded, "mount x /t/b tmpfs ro size=4k", "umount /t/b", "mount p /t/b proc - hidepid=2", "statfs /t/b/uptime", "umount /t/b",
        "mount /t/a /t/b - move -", "move-mount /t/b /t/a", "open-onto /t/a /t/b", "umount /t/b", "mount /t/b /t/a/in - bind+rec -",
        "umount /t/a/in", "mount x /nowhere tmpfs - -", "mount x /t/f tmpfs - -", "move-mount /nowhere /t/b", "move-mount /t/b /t/a",
        "mount /t/b /t/a - move -", "umount /t/a")
    assert lines == [
        "mount: OK", "umount: OK", "mount: OK", f"/t/b/uptime is {FUSE_MAGIC}", "statfs: OK", "umount: OK", "mount: OK", "move-mount: OK",
        "open-onto: OK", "umount: OK", "mount: OK", "umount: OK", "mount: ENOENT", "mount: ENOTDIR", "move-mount: ENOENT",
        "move-mount: EINVAL", "mount: EINVAL", "umount: OK"]


def test_70_nodes_that_every_container_has(guarded: Container) -> None:
    lines = probed(
        guarded, "mknod /t/null c 1 3", "open /t/null rw", "mknod /t/null c 1 3", "mknod /t/tty c 5 0", "chdir /t", "mknod zero c 1 5",
        "open zero", "mknod /t/kmsg c 1 11", "mknod /t/sda b 8 0", "mknod /t/whiteout c 0 0", "mknod /nowhere/null c 1 3", "umount /t/null",
        "setuid 1000", "mknod /tmp/null c 1 3")
    assert lines == [
        "mknod: OK", "open: OK", "mknod: EEXIST", "mknod: OK", "chdir: OK", "mknod: OK", "open: OK", "mknod: EPERM", "mknod: EPERM",
        "mknod: OK", "mknod: ENOENT", "umount: OK", "setuid: OK", "mknod: EPERM"]
    assert guarded.sh("test -c /t/zero && ! test -s /t/null && ls /tmp").ok().out == ""


def test_a_target_that_is_no_volume_makes_no_container(containers: Launch, runtime: Runtime) -> None:
    write_rules(runtime, mountTargets=["volume:/dev/shm"])
    try:
        result = containers().create()
    finally:
        runtime.settings.unlink()
    assert result.status == 1
    assert "eci.syscalls.mountTargets: /dev/shm of this container is a tmpfs, no volume" in result.err
