"""Acceptance lines 53, 57, 59, 68; C01, C02, C03, C04, D01, D02: bad arguments, and the same calls by each ABI.

What the kernel says is asked of the kernel: the same program runs in a plain user namespace, and what differs must be listed.
"""
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.bundle import bind
from tests.support.driver import Container
from tests.support.plain import answers, by_name, different
from tests.support.rootfs import PROGRAMS, compile_program

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "i386", "runc", "crun", "seccomp_notify", "fuse")
ABIS = {"64 bits": ("vectors64", "native"), "int 0x80": ("vectors64", "int80"), "32 bits": ("vectors32", "native")}


@pytest.fixture(scope="module")
def vectors(playground: Path) -> Path:
    """A directory with tests/programs/vectors.c for 64 and for 32 bits."""
    directory = playground / "vectors"
    directory.mkdir()
    compile_program(PROGRAMS / "vectors.c", directory / "vectors64")
    compile_program(PROGRAMS / "vectors.c", directory / "vectors32", "-m32")
    return directory


@pytest.fixture
def target(containers: Launch, vectors: Path, closed: Path) -> Iterator[Container]:
    """All capabilities; /r a read-only volume, the programs in /x."""
    mounts = (bind(closed, "/r", "ro"), bind(vectors, "/x", "ro"))
    container = containers(privileged=True, mounts=mounts).up()
    table = Path(f"/proc/{container.pid}/mountinfo")
    before = table.read_text()
    yield container
    assert table.read_text() == before


@pytest.mark.parametrize("abi", ABIS)
def test_line_53_bad_arguments_get_the_kernels_errno(target: Container, vectors: Path, playground: Path, abi: str) -> None:
    """Each argument of each call that may be vetted: pointers to nothing, strings without an end, closed and wrong descriptors, garbage."""
    program, how = ABIS[abi]
    place = playground / "plain"
    place.mkdir(exist_ok=True)
    kernel = answers(vectors / program, how, "pointers", str(place))
    ours = target.exec(f"/x/{program}", how, "pointers", "/t").ok()
    assert len(ours.lines) > 700
    assert different(by_name(ours.out), by_name(kernel)) == {}


# What means something, and what comes of it, for each ABI.
DECISIONS = {
    "ro to rw": "EPERM", "superblock of ro": "EPERM", "ro moved": "EINVAL", "node moved": "EINVAL", "proc mounted": "OK",
    "it is virtual": "", "hidepid": "OK", "proc ro": "OK", "proc umounted": "OK", "sysfs mounted": "OK", "sysfs umounted": "OK",
    "tmpfs mounted": "OK", "expired": "EAGAIN", "detached": "OK", "node umounted": "EINVAL", "node detached": "EINVAL",
    "ro umounted": "EINVAL", "ext4": "EPERM", "invalid": "EINVAL", "pivot_root": "EINVAL", "device": "EPERM", "fsopen": "OK",
    "syslog": "EPERM", "bpf": "EPERM", "perf": "EPERM", "module": "EPERM", "mount_setattr": "EPERM", "unshare uts": "OK",
    "unshare mnt+net": "OK", "unshare nonsense": "EINVAL", "own user namespace": "EINVAL", "own network": "OK",
    "clone uts": "OK", "clone mnt+pid": "OK", "clone user with shared fs": "EINVAL", "sysinfo": "OK",
    "sysinfo writes its struct": "", "sysinfo tells what meminfo does": "",
}  # fmt: skip


def test_line_68_every_abi_has_the_decisions_of_the_others(target: Container) -> None:
    """mount, both umounts, sysinfo's struct, setns, unshare, clone and their kin: 64 bits, int 0x80 and a 32-bit program."""
    got = {
        abi: target.exec(f"/x/{program}", how, "decisions", "/r", "/t").ok().out for abi, (program, how) in ABIS.items()
    }
    wide = {name: errno for name, _, errno in (line.partition(": ") for line in got["64 bits"].splitlines())}
    assert different(DECISIONS, wide) == {}
    assert got["int 0x80"].splitlines() == got["64 bits"].splitlines()
    assert got["32 bits"].splitlines() == got["64 bits"].splitlines()
