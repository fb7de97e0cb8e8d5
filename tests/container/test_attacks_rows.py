"""Rows of hostile calls whose whole story is an errno, or a word, each in the positions that matter; many rows to one container."""
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import REPOSITORY, Container
from tests.support.plain import answers, by_name, different
from tests.support.rootfs import PROGRAMS, compile_program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
VIRTUAL = "65735546"


@pytest.fixture(scope="module")
def rows(playground: Path) -> Path:
    directory = playground / "rows"
    directory.mkdir()
    compile_program(PROGRAMS / "rows.c", directory / "rows")
    return directory


@pytest.fixture
def target(containers: Launch, rows: Path, closed: Path, playground: Path) -> Iterator[Container]:
    """All capabilities; /r a read-only volume, /w a writable one. Its own mounts stay as they are."""
    writable = playground / "closed/writable"
    writable.mkdir()
    mounts = (bind(closed, "/r", "ro"), bind(writable, "/w"), bind(rows, "/x", "ro"))
    container = containers(privileged=True, mounts=mounts).up()
    table = Path(f"/proc/{container.pid}/mountinfo")
    before = table.read_text()
    yield container
    assert table.read_text() == before


def said(container: Container, *words: str) -> list[str]:
    return container.exec("/x/rows", *words).ok().lines


def test_c05_c06_c09_c11_c12_the_kernels_own_answers(target: Container, rows: Path, playground: Path) -> None:
    """Sizes of structs, types that look like others, MS_MGC_VAL, and every way to spell a path."""
    place = playground / "spelled"
    place.mkdir(exist_ok=True)
    ours = target.exec("/x/rows", "kernel", "/t").ok()
    assert len(ours.lines) > 150
    assert different(by_name(ours.out), by_name(answers(rows / "rows", "kernel", str(place)))) == {}


def test_a14_full_capabilities_of_another_user_namespace(target: Container) -> None:
    """P4: the test is CAP_SYS_ADMIN in the owner of the mount namespace that is meant, not a bit of CapEff."""
    for steps, allowed in ("setuid 1000 , userns", set[str]()), ("userns", {"chown: OK"}):
        lines = target.sh(f"probe {steps} , exec /x/rows authority /r").ok().lines
        got = lines[lines.index("userns: OK") + 1 :]
        assert {line for line in got if not line.endswith(": EPERM")} == allowed
        assert len(got) == 13


def test_a16_a_capability_once_held_is_not_held(target: Container) -> None:
    """At first, without it in effect, with it again, without it for good."""
    assert said(target, "capabilities", "/t") == ["OK OK OK", "EPERM EPERM EPERM", "OK OK OK", "EPERM EPERM EPERM"]


def test_b12_no_descriptor_of_ours_is_within_reach(target: Container) -> None:
    assert said(target, "descriptors") == ["process 1 looked at"]


@pytest.mark.parametrize("position", ["", "probe userns , unshare mnt+pid , fork , exec "])
def test_e04_p7_after_pivot_root(target: Container, position: str) -> None:
    """Locks hold below the old root; when it is gone, a procfs is virtual still."""
    lines = target.sh(f"{position}/x/rows pivot /r").ok().lines
    assert lines[-12:] == [
        "node: EINVAL", "node detached: EINVAL", "writable: EPERM", "volume detached: EINVAL", "volume moved: EINVAL", "proc beside: OK",
        "it is virtual", "gone: OK", "old root detached: OK", "proc: OK", "it is virtual", "its node: EINVAL"]


def test_e03_p6_in_a_jail(target: Container) -> None:
    """.. is clamped at the jail's root, in targets too."""
    target.sh("mkdir -p /tmp/jail/proc /tmp/jail/a").ok()
    steps = (
        "unshare mnt , chroot /tmp/jail , chdir / , mount proc /proc proc - , statfs /proc/uptime , umount ../../proc/uptime , "
        "umount ../../../a/../proc , mount proc ../../proc proc - , umount /proc"
    )
    lines = target.probe(*steps.split())
    assert lines[3:] == [
        "mount: OK", f"/proc/uptime is {VIRTUAL}", "statfs: OK", "umount: EINVAL", "umount: OK", "mount: OK", "umount: OK"]


def test_e05_one_locked_tree_for_each_procfs_and_sysfs(target: Container) -> None:
    """After start and after an exec: nothing is stacked below, and each has children of ours."""
    target.sh("true").ok()
    lines = [line.split() for line in Path(f"/proc/{target.pid}/mountinfo").read_text().splitlines()]
    whole = {words[4]: words[0] for words in lines if words[words.index("-") + 1] in ("proc", "sysfs") and words[3] == "/"}
    assert set(whole) == {"/proc", "/sys"}
    assert [words[4] for words in lines if words[4] in whole] == sorted(whole, key=[words[4] for words in lines].index)
    assert set(whole.values()) <= {words[1] for words in lines}


def test_f02_the_parents_of_what_is_protected(target: Container) -> None:
    """A whole tree goes as a whole: no real node comes up, and a fresh procfs is refused or virtual."""
    steps = (
        "unshare mnt , umount /proc detach , open /proc/uptime , fsopen proc , umount / detach , umount /sys detach , fsopen sysfs , "
        "mount proc /proc proc - , statfs /proc/uptime"
    )
    lines = target.probe(*steps.split())
    assert lines[:3] == ["unshare: OK", "umount: OK", "open: ENOENT"]
    assert lines[4:6] == ["umount: EINVAL", "umount: OK"]
    assert lines[7:] == ["mount: OK", f"/proc/uptime is {VIRTUAL}", "statfs: OK"]


@pytest.mark.parametrize("position", ["unshare mnt+net", "userns , unshare mnt+net", "userns , unshare mnt+pid+net , fork"])
def test_g02_g03_fresh_ones_are_virtual(target: Container, position: str) -> None:
    """sysfs of a network namespace of its own, procfs of a pid namespace; what is hidden in the first ones is hidden there."""
    proc = " , mount proc /mnt proc - , statfs /mnt/uptime" if "pid" in position or "userns" not in position else ""
    steps = f"{position} , mount sysfs /t sysfs - , umount /t/devices/system/cpu/online , open /t/kernel/debug/x{proc}"
    lines = target.sh(f"probe {steps}; probe {position} , mount sysfs /t sysfs - , exec ls /t/class/net").ok().lines
    assert "umount: EINVAL" in lines
    assert "open: ENOENT" in lines
    assert not proc or f"/mnt/uptime is {VIRTUAL}" in lines
    assert lines[-1] == "lo"


def test_g11_one_value_however_it_is_reached(target: Container) -> None:
    """A tunable written through a fresh procfs is read through the first, and through process 1's root."""
    script = (
        "mount -t proc none /t; echo 33 > /t/sys/kernel/panic; cat /proc/sys/kernel/panic /proc/1/root/proc/sys/kernel/panic; "
        "for f in uptime meminfo; do for p in /proc /t /proc/1/root/proc; do head -n 1 $p/$f | cut -d. -f1; done | uniq | wc -l; done; "
        "umount /t"
    )
    lines = target.sh(script).ok().lines
    assert lines[:2] == ["33", "33"]
    assert lines[3] == "1"
    assert lines[2] in ("1", "2")  # a second may pass between


def test_h01_h02_overlays_of_what_is_protected(target: Container) -> None:
    """Each combination is refused, or writes to what the container may write to; nothing arrives below /r or in the first trees."""
    upper = ("/proc/sys", "/sys", "/r", "/tmp/u")
    script = "mkdir -p /tmp/u /tmp/k /tmp/l /tmp/low; touch /tmp/low/s; chmod 4755 /tmp/low/s\n"
    script += "".join(
        f"mount -t overlay none /t -o 'lowerdir={low},upperdir={up},workdir=/tmp/k{more}' && {{ touch /t/written; umount /t; }}\n"
        for up in upper for low in ("/tmp/low", "/r", "/tmp/u", "/proc", "/", "/tmp/low:/r", "/tmp/low\\:/r", "/tmp/low,upperdir=/r")
        for more in ("", ",userxattr", ",redirect_dir=on", ",metacopy=on", ",index=on", ",volatile", ",xino=on")
    )
    target.sh(f"({script}) 2>/dev/null; ls /r; ls -ld /proc/sys/written /sys/written 2>&1 | grep -c 'No such'").ok()
    volume = target.bundle.parent / "closed/volume"
    assert sorted(path.name for path in volume.iterdir()) == ["there"]
    overlaid = "mount -t overlay none /t -o lowerdir=/tmp/low,upperdir=/tmp/u,workdir=/tmp/k,userxattr && touch /t/s && umount /t"
    target.sh(f"rm -rf /tmp/k /tmp/u; mkdir /tmp/k /tmp/u; {overlaid}").ok()
    copied = (target.bundle / "rootfs/tmp/u/s").lstat()
    assert copied.st_uid == (target.bundle / "rootfs/tmp/low/s").lstat().st_uid


def test_i01_no_way_from_a_namespace_here_to_one_outside(target: Container) -> None:
    lines = dict(line.split(": ") for line in said(target, "namespaces"))
    assert lines["parent of user"] == "EPERM"
    assert lines["parent of pid"] == "EPERM"
    assert lines["its parent"] == "EPERM"
    assert lines["by pidfd"] == "EINVAL"


def test_i04_device_nodes(target: Container) -> None:
    """Devices are EPERM; a whiteout and a FIFO are nobody's device."""
    devices = (("c", "1", "1"), ("c", "1", "9"), ("b", "8", "0"), ("b", "254", "0"), ("c", "10", "200"), ("c", "10", "229"))
    for position in ("", "userns , unshare mnt , "):
        steps = f"{position}mknod /tmp/whiteout c 0 0" + "".join(f" , mknod /tmp/d {' '.join(device)}" for device in devices)
        lines = [line for line in target.probe(*steps.split()) if line.startswith("mknod")]
        assert lines == ["mknod: OK", *["mknod: EPERM"] * len(devices)]
        target.sh("rm /tmp/whiteout; mkfifo /tmp/fifo && rm /tmp/fifo").ok()


# sysctl takes the first number of several and leaves the rest to the next write, which it then ignores: here the rest is taken along.
# And it gives nothing from the second byte on: here the file can be read from anywhere.
MORE_LENIENT = {"text 6", "text 13", "byte by byte", "in the middle"}


def test_k04_k05_a_tunable_takes_and_gives_what_the_kernels_does(target: Container, rows: Path) -> None:
    """proc_dointvec(), here and in a network namespace of the kernel's own."""
    kernel = by_name(answers(rows / "rows", "tunable", "/proc/sys/net/ipv4/igmp_max_memberships"))
    ours = by_name(target.exec("/x/rows", "tunable", "/proc/sys/kernel/panic").ok().out)
    odd = different(ours, kernel)
    assert {name: pair for name, pair in odd.items() if name.partition(" #")[0] not in MORE_LENIENT} == {}


def binaries(container: Container) -> dict[str, str]:
    paths = [*(REPOSITORY / "eci_supervisor/bin").iterdir(), Path(container.runtime.program())]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_j01_j03_processes_of_ours_during_exec(target: Container) -> None:
    """CVE-2019-5736, CVE-2016-9962: until their execve they cannot be looked into, and their program cannot be written."""
    before = binaries(target)
    child, out, _ = target.runtime.start("exec", target.id, "/x/rows", "spy", "3", name=f"{target.id}.spy")
    with child:
        wait_until(lambda: "watching" in out.read_text(), "the spy watches")
        for _ in range(8):
            target.exec("true").ok()
        child.wait(30)
    assert out.read_text().splitlines() == ["watching", "some seen, none looked into"]
    assert binaries(target) == before
