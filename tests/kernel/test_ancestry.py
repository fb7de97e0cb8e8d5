"""What a rule for sources and targets looks at: a file, and the directories above it as far as its mount goes."""
import os
from collections.abc import Callable
from errno import EPERM
from pathlib import Path

import pytest
import trio

from eci_supervisor.linux.ancestry import UnknownAncestryError, chain
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import MS_BIND, mount
from eci_supervisor.model.listed import Identity, Listed
from eci_supervisor.model.verdict import Bind, Judged, Move, Named
from eci_supervisor.seccomp.judge import Judgement, judge
from tests.support.isolated import isolated

pytestmark = pytest.mark.requires("root")


def opened(path: str) -> OwnedFd:
    return OwnedFd(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))


def mount_table() -> OwnedFd:
    return OwnedFd(os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC))


def identity(path: str) -> Identity:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def seen(path: str) -> list[Identity]:
    with opened(path) as fd, opened("/") as root:
        return list(chain(fd, root))


def made(at: Path) -> str:
    """A tmpfs at `at` with a file three levels down; a bind of the second level beside it."""
    mount("ancestry", str(at), "tmpfs", 0)
    (at / "a/b").mkdir(parents=True)
    (at / "a/b/file").write_text("x")
    (at / "bound").mkdir()
    mount(str(at / "a"), str(at / "bound"), "", MS_BIND)
    return str(at)


@isolated
def test_upwards_to_the_root_of_the_mount_and_no_further(tmp_path: Path) -> None:
    at = made(tmp_path)
    assert seen(f"{at}/a/b/file") == [identity(f"{at}/{name}") for name in ("a/b/file", "a/b", "a", "")]
    assert seen(f"{at}/bound/b/file") == [identity(f"{at}/{name}") for name in ("a/b/file", "a/b", "a")]
    assert seen(at) == [identity(at)]
    assert seen("/") == [identity("/")]


@isolated
def test_a_file_without_its_name_has_no_ancestry(tmp_path: Path) -> None:
    at = made(tmp_path)
    with opened(f"{at}/a/b/file") as fd, opened("/") as root:
        os.rename(f"{at}/a/b/file", f"{at}/moved")
        assert [*chain(fd, root)] == [identity(f"{at}/moved"), identity(at)]
        os.unlink(f"{at}/moved")
        with pytest.raises(UnknownAncestryError):
            chain(fd, root)


@isolated
def test_what_cannot_be_told_is_against_the_rule(tmp_path: Path) -> None:
    at = made(tmp_path)
    verdict = Judged(Move(b"1", b"2"), (Named(b"/a"), Named(b"/b")), sources=(1,), targets=(2,))

    def judged(listed: Listed, source: str, target: str, gone: str = "") -> int:
        found = mount_table(), opened(source), opened(target), opened("/")
        if gone:
            os.unlink(gone)
        return trio.run(judge, verdict, listed, found).errno

    keys, free = f"{at}/a/b", f"{at}/free"
    os.mkdir(free)
    assert judged(Listed(sources=frozenset({identity(keys)})), f"{keys}/file", free) == 1
    assert judged(Listed(sources=frozenset({identity(keys)})), free, keys) == 0
    assert judged(Listed(targets=frozenset({identity(keys)})), keys, free) == 0
    assert judged(Listed(targets=frozenset({identity(keys)})), free, f"{at}/bound/b") == 1
    assert judged(Listed(sources=frozenset({(1, 1)})), f"{keys}/file", free, gone=f"{keys}/file") == 1


@isolated
def test_what_a_copy_takes_along(tmp_path: Path) -> None:
    """Wherever the mount lies by now, and whatever hides it; and a copy without mounts below it is made as one."""
    at = made(tmp_path)
    for name in ("free", "new/deep/keys", "cover"):
        os.makedirs(f"{at}/{name}")
    mount("new", f"{at}/new", "tmpfs", 0)
    os.makedirs(f"{at}/new/deep/keys")
    mount(f"{at}/a/b", f"{at}/new/deep/keys", "", MS_BIND)
    device = os.stat(at).st_dev
    listed = Listed(frozenset({identity(f"{at}/a/b")}), devices=frozenset({(os.major(device), os.minor(device))}))
    verdict = Judged(Bind(b"2", b"1", recursive=True), (Named(b"/a"), Named(b"/b")), sources=(2,), targets=(1,))

    def judged(source: OwnedFd) -> Judgement:
        return trio.run(judge, verdict, listed, (mount_table(), opened("/"), OwnedFd(os.dup(source.fileno())), opened("/")))

    new, deep, free = opened(f"{at}/new"), opened(f"{at}/new/deep"), opened(f"{at}/free")
    forbidden, alone = Judgement(EPERM), Judgement(alone=True)
    assert [judged(new), judged(deep), judged(free), judged(opened(at))] == [forbidden, forbidden, alone, forbidden]
    os.rename(f"{at}/new/deep", f"{at}/new/moved")
    os.mkdir(f"{at}/new/deep")
    assert [judged(new), judged(deep), judged(opened(f"{at}/new/deep"))] == [forbidden, forbidden, alone]
    mount("cover", f"{at}/new", "tmpfs", 0)
    assert [judged(new), judged(deep), judged(opened(f"{at}/new"))] == [forbidden, forbidden, alone]
    mount(f"{at}/a", f"{at}/cover", "", MS_BIND)
    mount("other", f"{at}/cover/b", "tmpfs", 0)
    with opened(f"{at}/cover") as cover:
        assert judged(cover) == Judgement()


def there_and_back(name: str, to: str) -> None:
    os.rename(name, to)
    os.rename(to, name)


@isolated
def test_a_copy_beside_a_listed_mount_is_one_without_it(tmp_path: Path) -> None:
    """Whatever moves it: the directory that it is mounted in, one above that, another name; and what moves beside it moves nothing."""
    at = made(tmp_path)
    os.makedirs(f"{at}/deep/in/it/listed")
    os.makedirs(f"{at}/deep/in/other")
    os.makedirs(f"{at}/source/mounted")
    mount(f"{at}/a/b", f"{at}/deep/in/it/listed", "", MS_BIND)
    mount("mounted", f"{at}/source/mounted", "tmpfs", 0)
    device = os.stat(at).st_dev
    listed = Listed(frozenset({identity(f"{at}/a/b")}), devices=frozenset({(os.major(device), os.minor(device))}), mounts=1)
    verdict = Judged(Bind(b"2", b"1", recursive=True), (Named(b"/a"), Named(b"/b")), sources=(2,), targets=(1,))
    plain = Judged(Bind(b"2", b"1", recursive=False), (Named(b"/a"), Named(b"/b")), sources=(2,), targets=(1,))

    def after(change: Callable[[], object]) -> bool:
        judged = trio.run(judge, verdict, listed, (mount_table(), opened("/"), opened(f"{at}/source"), opened("/")))
        assert not judged.errno
        assert judged.places
        with judged.places as places:
            change()
            return places.are_as_before()

    assert after(lambda: None)
    assert after(lambda: there_and_back(f"{at}/deep/in/other", f"{at}/source/other"))
    assert not after(lambda: there_and_back(f"{at}/deep", f"{at}/source/deep"))
    assert not after(lambda: there_and_back(f"{at}/deep/in", f"{at}/source/in"))
    assert not after(lambda: there_and_back(f"{at}/deep/in/it", f"{at}/deep/in/that"))
    assert not after(lambda: os.rename(f"{at}/deep", f"{at}/deeper"))
    assert not after(lambda: os.rename(f"{at}/source", f"{at}/deeper/source"))
    os.rename(f"{at}/deeper/source", f"{at}/source")
    assert not after(lambda: mount("x", f"{at}/source/mounted", "tmpfs", 0))
    of_one = trio.run(judge, plain, listed, (mount_table(), opened("/"), opened(f"{at}/source"), opened("/")))
    assert of_one == Judgement(alone=True, below=EPERM)
    mount("cover", f"{at}/deeper", "tmpfs", 0)
    hidden = trio.run(judge, verdict, listed, (mount_table(), opened("/"), opened(f"{at}/source"), opened("/")))
    assert hidden == Judgement(EPERM)
