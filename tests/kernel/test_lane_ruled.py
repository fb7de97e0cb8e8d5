"""native/lane.c where an admin has rules for mounts: binds and new tmpfs that the serving thread makes itself, and what it leaves alone."""
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from eci_supervisor.model.call_rules import NO_RULES, CallRules, MountTypes
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.mounts.mounter import Mounter
from eci_supervisor.seccomp.ring import Done, RawEvent
from tests.kernel.contained import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MNT_DETACH,
    MS_BIND,
    MS_REC,
    MS_REMOUNT,
    Contained,
    mount,
    served,
    umount,
    unshare,
)
from tests.kernel.mounting import VIRTUAL, name, read
from tests.kernel.test_lane import MOUNT, MS_NOSUID
from tests.kernel.test_mounter import run

pytestmark = pytest.mark.requires("root", "seccomp_notify")
SOURCES, TARGETS = CallRules(mount_sources=("/srv",)), CallRules(mount_targets=("volume:/srv",))
TYPES, NO_TMPFS = CallRules(mount_types=MountTypes(types=("ramfs",))), CallRules(mount_types=MountTypes(types=("tmpfs",)))


TRIES = 20


@dataclass(frozen=True)
class Seen:
    """What each mount(2) said, and who made it: the thread (M), the mounter (E), the kernel (C; c if Python was not asked); D: denied."""

    said: list[str]
    ways: str


def way(event: RawEvent) -> str:
    return "c" if event.done == Done.CONTINUED and event.pid is None else event.done.name[0]


def as_said(seen: Seen, said: list[str], ways: str) -> bool:
    """A call goes to Python too, where the thread's last one is Python's still: it has answered, but is not done with it."""
    calls = zip(seen.ways, ways, " " + seen.ways, strict=False)
    fits = (way == expected or (before in "DEC" and expected + way in ("ME", "cC")) for way, expected, before in calls)
    return seen.said == said and len(seen.ways) == len(ways) and all(fits)


async def once(mounter: Mounter, container: Contained, function: Callable[[], list[str]], calls: CallRules, listed: Listed) -> Seen:
    said, events = await served(mounter, container, function, calls=calls, listed=listed)
    mounts = sorted((event for event in events if event.nr == MOUNT), key=lambda event: event.time_ns)
    return Seen(said, "".join(map(way, mounts)))


def check(
    function: Callable[[], list[str]], calls: CallRules, said: list[str], ways: str, listed: Callable[[int], Listed] | None = None,
) -> None:
    """`listed` is given the container's init. As test_lane.run_served: a path may have left the kernel's cache, so it is tried again."""
    async def body(mounter: Mounter, container: Contained) -> None:
        rules = listed(container.init) if listed else NOTHING_LISTED
        for left in reversed(range(TRIES)):
            seen = await once(mounter, container, function, calls, rules)
            if as_said(seen, said, ways) or not left:
                assert as_said(seen, said, ways), seen
                return

    run(body, "lane")


def identity(init: int, path: str) -> tuple[int, int]:
    status = os.stat(f"/proc/{init}/root{path}")
    return status.st_dev, status.st_ino


def table(path: str) -> str:
    """Flags and file system of what is on `path` in the mount table."""
    lines = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    fields = [line for line in lines if line[4] == path][-1]
    return f"{fields[5]} {' '.join(fields[fields.index('-') + 1:])}"


def bind(source: bytes, target: bytes, flags: int = 0) -> str:
    return name(mount(source, target, None, MS_BIND | flags))


def plain_binds() -> list[str]:
    for path in ("/tmp/from", "/tmp/jail/a"):
        os.makedirs(path, exist_ok=True)
    pathlib.Path("/tmp/from/file").write_text("here")
    seen = [bind(b"/tmp/from", b"/a"), read("/a/file"), bind(b"/tmp/from/file", b"/a/file"), name(umount(b"/a/file")), name(umount(b"/a")),
            bind(b"/proc", b"/a"), read("/a/uptime"), name(umount(b"/a")), bind(b"/none", b"/a"), bind(b"/tmp/from/file", b"/a")]
    os.chroot("/tmp/jail")
    return [*seen, bind(b"/../a", b"/a")]


def test_a_plain_bind_is_the_kernels() -> None:
    """Only what lies above locked mounts, and what fails, is for the mounter to look at."""
    said = ["ok", "here", "ok", "ok", "ok", "ok", VIRTUAL, "ok", "ENOENT", "ENOTDIR", "ok"]
    check(plain_binds, NO_RULES, said, "ccECcc")


def judged_binds() -> list[str]:
    for path in ("/tmp/secret/below", "/tmp/free/below"):
        os.makedirs(path, exist_ok=True)
    pathlib.Path("/tmp/free/file").touch()
    pathlib.Path("/tmp/free/link").unlink(missing_ok=True)
    os.symlink("/tmp/secret", "/tmp/free/link")
    seen = [bind(b"/tmp/free", b"/a"), bind(b"/tmp/secret", b"/a"), bind(b"/tmp/secret/below", b"/a"), bind(b"/tmp/free/link/below", b"/a"),
            bind(b"/tmp", b"/b"), bind(b"/a/below", b"/b"), bind(b"/tmp/free", b"/b", MS_REC), bind(b"/tmp/free/file", b"/a/file"),
            name(mount(b"none", b"/b", b"tmpfs", 0))]
    unshare(CLONE_NEWNS)
    return [*seen, bind(b"/tmp/free/below", b"/b"), bind(b"/tmp/secret/below", b"/b")]


def prepared(init: int) -> int:
    """With the directories that the rules will be about, before the task that uses them."""
    for path in ("/tmp/secret", "/tmp/free", "/tmp/secret/below", "/tmp/free/below"):
        os.makedirs(f"/proc/{init}/root{path}", exist_ok=True)
        os.chown(f"/proc/{init}/root{path}", 100000, 100000)
    return init


def test_a_bind_by_its_source() -> None:
    """The thread makes what is not listed, by whatever name; Python denies the rest, and looks at copies of all and at files."""
    def listed(init: int) -> Listed:
        return Listed(sources=frozenset({identity(prepared(init), "/tmp/secret")}), above=frozenset({identity(init, "/tmp")}))

    said = ["ok", "EPERM", "EPERM", "EPERM", "EPERM", "ok", "ok", "ok", "ok", "ok", "EPERM"]
    check(judged_binds, SOURCES, said, "MDDDDMEEMMD", listed)


def judged_targets() -> list[str]:
    os.makedirs("/tmp/secret/below", exist_ok=True)
    return [bind(b"/a", b"/tmp/secret"), bind(b"/a", b"/tmp/secret/below"), name(mount(b"none", b"/tmp/secret/below", b"tmpfs", 0)),
            name(mount(b"proc", b"/tmp/secret/below", b"proc", 0)), bind(b"/tmp", b"/a", MS_REC), bind(b"/b", b"/a/secret"),
            name(mount(b"none", b"/a", b"tmpfs", 0)), name(mount(b"proc", b"/b", b"proc", 0)), read("/b/uptime")]


def test_a_mount_by_its_target() -> None:
    def listed(init: int) -> Listed:
        return Listed(targets=frozenset({identity(prepared(init), "/tmp/secret")}))

    said = ["EPERM", "EPERM", "EPERM", "EPERM", "ok", "EPERM", "ok", "ok", VIRTUAL]
    check(judged_targets, TARGETS, said, "DDDDMDMM", listed)


def new_tmpfs() -> list[str]:
    seen = [name(mount(b"x y", b"/a", b"tmpfs", MS_NOSUID, b"size=64k,mode=750")),
            table("/a").replace("64k", "64K").removesuffix(",inode64"),  # a kernel may be built so
            oct(os.stat("/a").st_mode), str(os.stat("/a").st_uid)]
    pathlib.Path("/a/file").write_text("x" * 4096)
    seen += [name(mount(None, b"/a", None, MS_REMOUNT, b"size=128k")), name(umount(b"/a"))]
    seen += [name(mount(None, b"/a", b"tmpfs", 0)), table("/a").split()[2], name(umount(b"/a", MNT_DETACH))]
    seen += [name(mount(b"none", b"/a", b"tmpfs", 0, options)) for options in (b"size=bogus", b"what=ever", b"uid=5", b"mode=700,uid=7")]
    return [*seen, str(os.stat("/a").st_uid), name(mount(b"none", b"/none", b"tmpfs", 0)), name(mount(b"none", b"/b", b"ramfs", 0))]


def test_a_new_tmpfs_under_a_rule_for_types() -> None:
    """It is the container's own: its options, its owner, and the right to change them later."""
    said = ["ok", "rw,nosuid,relatime tmpfs x\\040y rw,size=64K,mode=750,uid=100000,gid=100000", "0o40750", "0", "ok", "ok",
            "ok", "none", "ok", "EINVAL", "EINVAL", "ok", "ok", "7", "ENOENT", "EPERM"]
    check(new_tmpfs, TYPES, said, "MCMEEEEED")


def by_others() -> list[str]:
    seen = []
    for ids in ((5, 0), (0, 5)):
        pid = os.fork()
        if pid == 0:
            os.setegid(ids[1])
            os.seteuid(ids[0])
            os._exit(-min(0, mount(b"none", b"/a", b"tmpfs", 0)))
        seen.append(name(-os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    seen.append(str(os.stat("/a").st_gid))
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    return [*seen, name(mount(b"none", b"/b", b"tmpfs", 0)), bind(b"/tmp", b"/b")]


def test_who_is_not_container_root() -> None:
    """Their tmpfs is theirs, so the mounter makes it; and one of a nested user namespace belongs to that."""
    check(by_others, TYPES, ["EPERM", "ok", "5", "ok", "ok"], "EEEc")


def denied_tmpfs() -> list[str]:
    return [name(mount(b"none", b"/a", b"tmpfs", 0)), name(mount(b"proc", b"/a", b"proc", 0))]


def test_a_denied_tmpfs() -> None:
    check(denied_tmpfs, NO_TMPFS, ["EPERM", "ok"], "DM")
