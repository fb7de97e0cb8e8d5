"""Two overlays over one upper directory: what each shows of the other's changes once the engine has used its own. See docs/freshness.md."""
import os
import pickle
import random
import select
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from eci_supervisor.forkserver.freshness import READS_A_DRAIN, ROUND_S, Freshness
from eci_supervisor.linux.dentries import drop_dentries
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.oci.mountpoints import Rootfs
from tests.kernel.overlays import below, copy_of, overlay

pytestmark = pytest.mark.requires("root")

NAMES = ("a", "b", "d", "d/x", "d/y", "d/e", "d/e/z", "new", "d/new", "e", "e/f")
QUIET_S = 0.15  # no event and no timer for so long: all drops are done


@dataclass
class Pair:
    engine_fd: OwnedFd
    our_fd: OwnedFd

    @property
    def engine(self) -> Path:
        return below(self.engine_fd)

    @property
    def ours(self) -> Path:
        return below(self.our_fd)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    lower = tmp_path / "lower"
    (lower / "d" / "e").mkdir(parents=True)
    for name in ("a", "b", "d/x", "d/y", "d/e/z"):
        (lower / name).write_text("image")
    with overlay(lower, tmp_path / "upper", tmp_path / "work") as engine, overlay(lower, tmp_path / "upper", tmp_path / "work-eci") as ours:
        yield Pair(engine, ours)


@pytest.fixture
def freshness() -> Iterator[Freshness]:
    freshness = Freshness()
    yield freshness
    freshness.close()


@pytest.fixture
def watched(pair: Pair, freshness: Freshness) -> Pair:
    freshness.watch("key", copy_of(pair.engine_fd), copy_of(pair.our_fd))
    settle(freshness)
    return pair


def settle(freshness: Freshness) -> None:
    """Serves until nothing is due any more."""
    deadline_s = time.monotonic() + 10
    while select.select([freshness], [], [], QUIET_S)[0]:
        assert freshness.drain() == ()
        assert time.monotonic() < deadline_s, "it does not come to rest"


def in_another_process(act: Callable[[], object]) -> None:
    """As an engine: what the fork server itself does makes no event."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every name with its mode, and its content or target."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            mode = path.lstat().st_mode
            content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path.relative_to(root))] = (mode, content)
    return found


def seen_by_another_process(root: Path) -> dict[str, tuple[int, bytes]]:
    with TemporaryFile() as file:
        in_another_process(lambda: os.write(file.fileno(), pickle.dumps(snapshot(root))))
        file.seek(0)
        seen: dict[str, tuple[int, bytes]] = pickle.load(file)
        return seen


def look_everywhere(root: Path) -> None:
    """Fills the dentry cache: with what is there, with what is not, with listings. Closes nothing, so makes no event."""
    for name in NAMES:
        (root / name).exists()


# What the second of two overlays shows stale without a drop: the change, and how to see it.
STALE: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "a name that was not there": (lambda root: (root / "new").write_text("x"), lambda root: (root / "new").exists()),
    "a copied-up file": (lambda root: (root / "a").write_text("changed"), lambda root: (root / "a").read_text()),
    "a removed file": (lambda root: (root / "a").unlink(), lambda root: (root / "a").exists()),
    "a mode": (lambda root: (root / "a").chmod(0o700), lambda root: (root / "a").stat().st_mode),
    "a listing": (lambda root: (root / "d/new").write_text("x"), lambda root: sorted(os.listdir(root / "d"))),
    "a renamed file": (lambda root: (root / "a").rename(root / "new"), lambda root: ((root / "a").exists(), (root / "new").exists())),
    "a removed directory": (lambda root: shutil.rmtree(root / "d/e"), lambda root: (root / "d/e").exists()),
}


@pytest.mark.parametrize("change", STALE)
def test_stale_until_dropped(pair: Pair, change: str) -> None:
    act, see = STALE[change]
    look_everywhere(pair.engine)
    see(pair.engine)
    act(pair.ours)
    assert see(pair.engine) != see(pair.ours), "no longer stale on this kernel: docs/freshness.md is to be corrected"
    drop_dentries(pair.engine_fd.fileno())
    assert see(pair.engine) == see(pair.ours)


def test_engine_that_read_sees_later_changes_of_the_container(watched: Pair, freshness: Freshness) -> None:
    look_everywhere(watched.engine)
    in_another_process((watched.engine / "b").read_text)
    settle(freshness)
    (watched.ours / "a").write_text("changed")
    (watched.ours / "new").write_text("x")
    assert (watched.engine / "a").read_text() == "changed"
    assert (watched.engine / "new").exists()


def test_container_sees_what_the_engine_wrote(watched: Pair, freshness: Freshness) -> None:
    look_everywhere(watched.ours)
    in_another_process(lambda: [(watched.engine / name).write_text("copied in") for name in ("a", "new", "d/new")])
    settle(freshness)
    assert [(watched.ours / name).read_text() for name in ("a", "new", "d/new")] == ["copied in"] * 3


def test_owner_and_mode_set_after_the_close(watched: Pair, freshness: Freshness) -> None:
    """The container looks between the close and the chmod: the last drop makes it forget what it saw."""
    in_another_process(lambda: (watched.engine / "new").write_text("x"))
    (watched.engine / "new").chmod(0o600)
    select.select([freshness], [], [], 5)
    freshness.drain()
    (watched.ours / "new").stat()
    (watched.engine / "new").chmod(0o755)
    settle(freshness)
    assert (watched.ours / "new").stat().st_mode & 0o777 == 0o755


def test_name_that_the_engine_did_not_find(watched: Pair, freshness: Freshness) -> None:
    """`docker cp` out of a container, asked again until the file is there: a look that makes no event."""
    look_everywhere(watched.engine)
    (watched.ours / "new").write_text("x")
    assert not (watched.engine / "new").exists()
    deadline_s = time.monotonic() + 2 * ROUND_S
    while not (watched.engine / "new").exists():
        assert select.select([freshness], [], [], deadline_s - time.monotonic())[0]
        freshness.drain()


def test_nothing_watched_wakes_nobody(watched: Pair, freshness: Freshness) -> None:
    freshness.forget("key")
    freshness.drain()
    assert not select.select([freshness], [], [], ROUND_S + 0.2)[0]


def test_start_drops_what_the_engine_had_seen(pair: Pair, freshness: Freshness) -> None:
    look_everywhere(pair.engine)
    (pair.ours / "new").write_text("x")
    freshness.watch("key", copy_of(pair.engine_fd), copy_of(pair.our_fd))
    assert (pair.engine / "new").exists()
    freshness.forget("key")


@pytest.mark.parametrize("seed", range(8))
def test_random_workload(watched: Pair, freshness: Freshness, seed: int) -> None:
    """Both sides change and look by turns, as `docker cp` and a container do: after each turn both show the same."""
    chance = random.Random(seed)
    for turn in range(5):
        side = (watched.engine, watched.ours)[chance.randrange(2)]
        operations = [(chance.choice(OPERATIONS), chance.choice(NAMES), chance.choice(NAMES)) for _ in range(8)]
        if side == watched.engine:
            in_another_process(lambda: perform(operations, watched.engine))  # noqa: B023 called at once
        else:
            perform(operations, watched.ours)
        settle(freshness)
        assert seen_by_another_process(watched.engine) == snapshot(watched.ours), (seed, turn, side == watched.engine, operations)
        settle(freshness)


def create(root: Path, name: str, other: str) -> None:
    (root / name).write_text(other)


def rename(root: Path, name: str, other: str) -> None:
    (root / name).rename(root / other)


def symlink(root: Path, name: str, other: str) -> None:
    (root / name).symlink_to(other)


OPERATIONS: tuple[Callable[[Path, str, str], object], ...] = (
    create, create, rename, symlink,
    lambda root, name, _: (root / name).unlink(),
    lambda root, name, _: (root / name).mkdir(),
    lambda root, name, _: (root / name).rmdir(),
    lambda root, name, _: (root / name).chmod(0o700),
    lambda root, name, _: (root / name).read_bytes(),
    lambda root, name, _: os.listdir(root / name),
)


def perform(operations: list[tuple[Callable[[Path, str, str], object], str, str]], root: Path) -> None:
    """What the kernel refuses (a name that is not there, a directory that is not empty) is part of the workload. One file is written at the
    end: of names that are made without a file, fanotify tells nothing (docs/freshness.md)."""
    for operation, name, other in operations:
        try:
            operation(root, name, other)
        except OSError:
            continue
    (root / "last").write_text("x")


def test_forgotten_pair_is_let_go(watched: Pair, freshness: Freshness) -> None:
    """Nothing of ours keeps the overlays: an engine's unmount really ends its mount."""
    in_another_process((watched.engine / "b").read_text)
    before = descriptors()
    freshness.forget("key")
    assert len(before) - len(descriptors()) == 2
    in_another_process((watched.engine / "b").read_text)
    settle(freshness)
    freshness.forget("key")


def test_watched_twice_is_watched_once(watched: Pair, freshness: Freshness) -> None:
    before = len(descriptors())
    freshness.watch("key", copy_of(watched.engine_fd), copy_of(watched.our_fd))
    assert len(descriptors()) == before
    freshness.forget("key")


def test_what_is_no_overlay_root_is_refused(pair: Pair, freshness: Freshness) -> None:
    before = len(descriptors())
    with pytest.raises(OSError, match="fspick"):
        freshness.watch("key", OwnedFd(os.open(pair.engine / "d", os.O_PATH)), copy_of(pair.our_fd))
    assert len(descriptors()) == before
    assert freshness.drain() == ()


def test_flood_of_closes_is_taken_in_pieces(watched: Pair, freshness: Freshness) -> None:
    """A queue that ran over means: anything may have changed."""
    names = [watched.engine / f"many-{number}" for number in range(READS_A_DRAIN * 64 + 200)]
    in_another_process(lambda: [name.write_text("x") for name in names])
    began_s = time.monotonic()
    freshness.drain()
    assert time.monotonic() - began_s < 1.0
    assert select.select([freshness], [], [], 0)[0], "the rest is still to come"
    settle(freshness)
    assert all((watched.ours / name.name).exists() for name in names)


def test_held_directory_that_staging_copied_up_is_coherent(watched: Pair, freshness: Freshness, tmp_path: Path) -> None:
    before = (watched.ours / "d").stat()
    Rootfs(watched.our_fd, str(watched.ours)).copy_up("/d")
    assert (tmp_path / "upper/d").is_dir()
    after = (watched.ours / "d").stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_uid) == (before.st_mode, before.st_mtime_ns, before.st_uid)
    with OwnedFd(os.open(watched.ours / "d", os.O_PATH)):
        in_another_process(lambda: (watched.engine / "d/new").write_text("x"))
        settle(freshness)
        assert (watched.ours / "d/new").exists()


@pytest.mark.parametrize("path", ["/nothing/there", "/a", "/"])
def test_what_cannot_be_copied_up_is_left(pair: Pair, path: str, tmp_path: Path) -> None:
    Rootfs(pair.our_fd, str(pair.ours)).copy_up(path)
    assert os.listdir(tmp_path / "upper") == []


def test_held_directory_of_the_image_stays_stale(watched: Pair, freshness: Freshness) -> None:
    """What remains: the engine copies up a directory that the container holds. It is coherent again once nobody holds it."""
    with OwnedFd(os.open(watched.ours / "d", os.O_PATH)):
        in_another_process(lambda: (watched.engine / "d/new").write_text("x"))
        settle(freshness)
        assert not (watched.ours / "d/new").exists()
        with pytest.raises(OSError, match="Directory not empty"):
            (watched.ours / "d/own").write_text("x")
    in_another_process(lambda: (watched.engine / "d/another").write_text("x"))
    settle(freshness)
    assert (watched.ours / "d/new").exists()


def descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")
