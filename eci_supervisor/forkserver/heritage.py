"""What a fork server leaves to the next one: which pairs of overlays are to be kept fresh, as DIR/c/KEY/overlays.json.

Descriptors end with their server, so a pair is written down by what it is, and found again by where it should be: the engine's overlay in
the mount namespace of whoever starts the next server, an engine most likely, or of pid 1; ours as the root of the container's init. Init is
hostile: of its root nothing is asked but what the kernel's tables say, never its file system, which by now may be a FUSE of its own.
"""
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.freshness import Freshness
from eci_supervisor.life import record
from eci_supervisor.linux import process
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.mounts.mountinfo import MountinfoError, parse_mountinfo


class NotThere(Exception):
    """What was written down is not where it was; the text says what."""


@dataclass(frozen=True, slots=True)
class Overlays:
    """engine: where the engine's is mounted; the devices are st_dev."""

    engine: str
    engine_device: int
    our_device: int


def watch(
    freshness: Freshness, directory: ContainerDir, key: str, fds: list[OwnedFd], warn: Callable[[str], None],
) -> protocol.Done | protocol.Failed:
    """Keeps the pair of a new container fresh, from now on and by later servers. `fds` are the engine's overlay and ours."""
    if len(fds) != protocol.WATCH_FDS:
        return protocol.Failed(f"watch comes with {protocol.WATCH_FDS} fds, not {len(fds)}")
    try:
        freshness.watch(key, *fds)
    except OSError as error:
        return protocol.Failed(f"freshness: {error}")
    try:
        leave(directory, fds[0].fileno(), fds[1].fileno())
    except OSError as error:
        warn(f"{key}: {error}: the next fork server does not know its overlays")
    return protocol.Done()


def take_over(freshness: Freshness, found: Iterable[tuple[str, OwnedFd, OwnedFd]], warn: Callable[[str], None]) -> None:
    """Goes on with what a server before this one kept fresh."""
    for key, engine, ours in found:
        try:
            freshness.watch(key, engine, ours, written=True)
        except OSError as error:
            warn(f"{key}: freshness: {error}")


def leave(directory: ContainerDir, engine_fd: int, our_fd: int) -> None:
    """Writes a pair down. Raises OSError."""
    pair = Overlays(os.readlink(f"/proc/self/fd/{engine_fd}"), os.fstat(engine_fd).st_dev, os.fstat(our_fd).st_dev)
    fd = os.open(directory.overlays, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(json.dumps(asdict(pair)).encode())


def left(state_dir: StateDir, warn: Callable[[str], None]) -> Iterator[tuple[str, OwnedFd, OwnedFd]]:
    """Key, engine's overlay and ours, of each container that runs and has them; `warn` is told of those that cannot be found.

    To be asked in the mount namespace that the server is started in.
    """
    for state in record.load_all(state_dir):
        try:
            with open(state_dir.container(state.key).overlays, "rb") as file:
                pair = Overlays(**json.loads(file.read()))
            if process.alive(state.init_pid, state.init_start):
                yield state.key, _engines(pair), _ours(state.init_pid, pair)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, MountinfoError, NotThere) as error:
            warn(f"{state.id}: {error}: docker cp, diff and export may show old files of this container")


def _engines(pair: Overlays) -> OwnedFd:
    """Raises NotThere."""
    for root in ("", "/proc/1/root"):
        with suppress(OSError):
            found = OwnedFd(os.open(f"{root}{pair.engine}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
            if os.fstat(found.fileno()).st_dev == pair.engine_device:
                return found
    raise NotThere(f"the engine's overlay is not at {pair.engine} any more")


def _ours(init: int, pair: Overlays) -> OwnedFd:
    """Raises OSError, MountinfoError, NotThere."""
    found = OwnedFd(os.open(f"/proc/{init}/root", os.O_PATH | os.O_CLOEXEC))
    with open(f"/proc/self/fdinfo/{found.fileno()}", "rb") as file:
        mount_id = next(int(line.split()[1]) for line in file if line.startswith(b"mnt_id:"))
    with open(f"/proc/{init}/mountinfo", "rb") as file:
        mount = next((entry for entry in parse_mountinfo(file.read()) if entry.id == mount_id), None)
    if mount is None or os.makedev(mount.major, mount.minor) != pair.our_device:
        raise NotThere("the container's root is not the one it started with")
    return found
