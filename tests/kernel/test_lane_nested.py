"""native/lane.c for callers in user namespaces below the container's: what it makes is what the mounter makes, and the kernel."""
import ast
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.mounts.mounter import Mounter
from eci_supervisor.seccomp.usual import MOST
from tests.kernel.contained import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MNT_DETACH,
    MS_BIND,
    MS_REC,
    MS_REMOUNT,
    PR_SET_DUMPABLE,
    Contained,
    mount,
    umount,
    unshare,
)
from tests.kernel.mounting import VIRTUAL, in_child, name, new_user_namespace, read
from tests.kernel.test_lane_ruled import SOURCES, TARGETS, TRIES, as_said, bind, check, identity, once, prepared
from tests.kernel.test_mounter import run
from tests.support import filtered

pytestmark = pytest.mark.requires("root", "seccomp_notify")
MS_UNBINDABLE, MS_SHARED = 1 << 17, 1 << 20
TOO_MANY = Listed(targets=frozenset((1 << 40, inode) for inode in range(MOST + 1)))  # for C: Python decides all; and nothing that is here
DIRECTORIES = "a", "b", "tmp/from/sub", "tmp/other/x", "tmp/no-group/x", "tmp/private/x"


def mapped_by_parent(lines: str) -> None:
    """A user and a mount namespace of its own, whose maps another process writes."""
    (unshared, tell), (written, told) = os.pipe(), os.pipe()
    pid = os.getpid()
    if os.fork() == 0:
        os.read(unshared, 1)
        for file in ("uid_map", "gid_map"):
            pathlib.Path(f"/proc/{pid}/{file}").write_text(lines)
        os.write(told, b"m")
        os._exit(0)
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    os.write(tell, b"u")
    os.read(written, 1)


def enter(who: str) -> None:
    """Namespaces and ids of one of the callers below."""
    if who == "slave mounts":
        unshare(CLONE_NEWNS)
        mount(None, b"/", None, MS_REC | MS_SHARED)
    if who == "the container's mounts":
        bind(b"/tmp/other", b"/b")  # so that the serving thread lives there
        umount(b"/b")
    if who == "a group":
        os.setgroups([5])
    if who == "another id":
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        filtered.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    if who == "many ids":
        mapped_by_parent("0 0 65536")
    elif who == "no ids":
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
    else:
        new_user_namespace(0 if who == "the container's mounts" else CLONE_NEWNS, 1000 if who == "another id" else 0)
    if who in ("two levels", "mounts of above"):
        new_user_namespace(CLONE_NEWNS if who == "two levels" else 0)


def table(file: int) -> list[str]:
    """What lies on /a and /b and below: root, place, flags, propagation with numbers that count from one, file system."""
    lines = [line.split() for line in os.pread(file, 1 << 16, 0).decode().splitlines()]
    found = sorted((line for line in lines if re.match(r"(/tmp/jail)?/[ab](/|$)", line[4])), key=lambda line: line[4])
    peers: list[str] = []

    def counted(match: re.Match[str]) -> str:
        peers.extend({match[0]}.difference(peers))
        return str(peers.index(match[0]) + 1)

    return [re.sub(r"(?<=:)\d+", counted, " ".join(line[3:line.index("-") + 2])) for line in found]


def steps(file: int) -> Iterator[str]:
    for denied in (b"/tmp/no-group/x", b"/tmp/private/x"):
        yield from (bind(denied, b"/a"), name(umount(b"/a")))
    yield from (bind(b"/tmp/from", b"/a"), *table(file), *os.listdir("/a"), name(umount(b"/a")))
    yield from (bind(source, target) for source, target in ((b"/none", b"/a"), (b"/tmp/from", b"/none"), (b"/tmp/from", b"/tmp/file")))
    yield name(mount(b"x", b"/tmp/from/sub", b"tmpfs", 0))
    yield from (bind(b"/tmp/from", b"/a"), bind(b"/tmp/from", b"/b", MS_REC), bind(b"/tmp/from/sub", b"/tmp/from"), *table(file))
    yield from (name(umount(place)) for place in (b"/b", b"/b/sub", b"/b", b"/a", b"/tmp/from"))
    yield from (bind(b"/tmp/other", b"/a"), name(mount(None, b"/a", None, MS_SHARED)), bind(b"/a", b"/b"))
    yield from (bind(b"/tmp/from", b"/b/x", MS_REC), bind(b"/tmp/from", b"/a/x/sub"), *table(file))
    yield from (name(umount(place)) for place in (b"/b/x/sub", b"/b/x/sub", b"/a/x"))
    yield from (name(mount(None, b"/a", None, MS_UNBINDABLE)), bind(b"/a", b"/b"), *table(file))
    yield from (name(umount(place)) for place in (b"/a", b"/b"))


def inside(who: str) -> list[str]:
    enter(who)
    with open("/proc/self/mountinfo", "rb") as file:
        if who == "chroot":
            os.chroot("/tmp/jail")
        if (seen := bind(b"/tmp/other", b"/b")) != "ok":
            return [seen, bind(b"/tmp/other", b"/b", MS_REC), *table(file.fileno())]
        return [seen, name(umount(b"/b")), *steps(file.fileno())]


def caller(body: Callable[..., list[str]], *args: object) -> list[str]:
    """What `body` returns in a process that is gone by then: of who lives an event says more than the serving thread knows."""
    for root in ("/", "/tmp/jail/"):
        for path in DIRECTORIES:
            os.makedirs(root + path, exist_ok=True)
        for path, mode in (("tmp/no-group", 0o707), ("tmp/private", 0o700)):
            os.chown(root + path, 1000, 5)
            os.chmod(root + path, mode)
    pathlib.Path("/tmp/file").touch()
    seen: list[str] = ast.literal_eval(in_child(partial(body, *args)))
    os.wait()
    return seen


async def compare(
    mounter: Mounter, container: Contained, calls: CallRules, ways: str, body: Callable[..., list[str]], *args: object, native: bool = True,
) -> list[str]:
    """By the thread where `ways` says so; by Python and the mounter; by the kernel alone."""
    function = partial(caller, body, *args)
    expected = await once(mounter, container, function, calls, TOO_MANY)
    assert "M" not in expected.ways
    if native:
        assert container.run(function) == expected.said, args
    for left in reversed(range(TRIES)):
        seen = await once(mounter, container, function, calls, NOTHING_LISTED)
        if as_said(seen, expected.said, ways) or not left:
            assert as_said(seen, expected.said, ways), (args, seen, expected)
            break
    return expected.said


CONTAINER_ROOTS = "one id", "many ids", "no ids", "two levels", "chroot", "slave mounts"
OTHERS = "another id", "a group"
NOT_THEIRS = "the container's mounts", "mounts of above"


@pytest.mark.parametrize(("calls", "roots", "others", "not_theirs"), [
    (NO_RULES, "ccCcCCcccccccccccC", "ccCcCCcccccccccccC", "Cc"), (TARGETS, "MMEMEEEEMMMMcMMMcE", "EEEEEEEEEEEEcEEEcE", "EE"),
    (SOURCES, "MMEMEEEEMEMMcMEMcE", "EEEEEEEEEEEEcEEEcE", "EE"),
], ids=["no rule", "targets", "sources"])
def test_binds(calls: CallRules, roots: str, others: str, not_theirs: str) -> None:
    """The thread makes what container root may make there that came without groups; what only has to be looked at it looks at for all."""
    async def body(mounter: Mounter, container: Contained) -> None:
        for who in (*CONTAINER_ROOTS, *OTHERS, *NOT_THEIRS):
            ways = roots if who in CONTAINER_ROOTS else others if who in OTHERS else not_theirs
            before = {"slave mounts": "c", "the container's mounts": roots[0]}
            await compare(mounter, container, calls, before.get(who, "") + ways, inside, who)

    run(body, "lane")


def locked() -> list[str]:
    """All that was there before is locked together: a copy of one mount alone is complete, or nothing."""
    new_user_namespace(CLONE_NEWNS)
    with open("/proc/self/mountinfo", "rb") as file:
        seen = [bind(b"/run/late", b"/a"), *table(file.fileno()), name(mount(None, b"/a", None, MS_REMOUNT | MS_BIND)), name(umount(b"/a"))]
        seen += [bind(b"/run", b"/a", MS_REC), *table(file.fileno()), name(umount(b"/a/late")), name(umount(b"/a", MNT_DETACH))]
        seen += [bind(b"/run", b"/a"), *table(file.fileno()), name(umount(b"/a/late"))]
    return [*seen, bind(b"/", b"/b"), read("/b/proc/uptime")]


def passed_down() -> list[str]:
    """What is mounted on a shared mount gets to the user namespace below, and is locked together there; but not here."""
    new_user_namespace(CLONE_NEWNS)
    seen = [bind(b"/tmp/other", b"/b"), name(mount(None, b"/b", None, MS_SHARED)), name(mount(b"x", b"/tmp/from/sub", b"tmpfs", 0))]
    (ready, tell), (mounted, told), (said, say) = os.pipe(), os.pipe(), os.pipe()
    if os.fork() == 0:
        new_user_namespace(CLONE_NEWNS)
        os.write(tell, b"r")
        os.read(mounted, 1)
        with open("/proc/self/mountinfo", "rb") as file:
            os.write(say, repr([*table(file.fileno()), name(umount(b"/b/x/sub")), name(umount(b"/b/x", MNT_DETACH))]).encode())
        os._exit(0)
    os.read(ready, 1)
    seen.append(bind(b"/tmp/from", b"/b/x", MS_REC))
    os.write(told, b"m")
    seen += ast.literal_eval(os.read(said, 4096).decode())
    os.wait()
    return [*seen, name(umount(b"/b/x/sub")), name(umount(b"/b/x"))]


def test_locks_and_propagation() -> None:
    async def body(mounter: Mounter, container: Contained) -> None:
        said = await compare(mounter, container, TARGETS, "MCMEE", locked, native=False)
        assert said[-4:] == ["/ /a/late ro,relatime - tmpfs", "EINVAL", "ok", VIRTUAL]
        said = await compare(mounter, container, TARGETS, "McEM", passed_down)
        assert said[-5:] == ["/ /b/x/sub rw,relatime master:3 - tmpfs", "EINVAL", "ok", "ok", "ok"]

    run(body, "lane")


def judged() -> list[str]:
    """By a thread that gets a group later: what it can drop again, and what it has when it enters one more namespace."""
    mapped_by_parent("0 0 65536")
    seen = [bind(b"/tmp/free", b"/a"), bind(b"/tmp/secret/below", b"/b"), bind(b"/tmp", b"/b"), bind(b"/a/below", b"/b")]
    seen += [bind(b"/tmp/free", b"/tmp/from"), bind(b"/tmp/free", b"/tmp/from/sub"), bind(b"/tmp/free", b"/tmp/other", MS_REC)]
    os.setgroups([5])
    seen.append(bind(b"/tmp/free", b"/a"))
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    return [*seen, bind(b"/tmp/free", b"/a")]


def test_rules() -> None:
    def listed(init: int) -> Listed:
        os.makedirs(f"/proc/{prepared(init)}/root/tmp/from/sub", exist_ok=True)
        return Listed(sources=frozenset({identity(init, "/tmp/secret")}), above=frozenset({identity(init, "/tmp")}),
                      targets=frozenset({identity(init, "/tmp/from")}))

    said = ["ok", "EPERM", "EPERM", "ok", "EPERM", "EPERM", "ok", "ok", "ok"]
    check(partial(caller, judged), CallRules(mount_sources=("/srv",), mount_targets=("volume:/srv",)), said, "MDDMDDEME", listed)
