"""The judgement on a bind's source, by what was opened: which host paths a container may have.

Some facts. Each entry of the lists is opened anew, as a source is: a link or a mount may lead elsewhere since. Who can rename the
directories of the lists while a container is made, and so win a race, is root of the host already.
"""
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, openat2
from eci_supervisor.linux.statfs import file_system_magic
from eci_supervisor.model.settings import BindRules
from eci_supervisor.mounts.mountinfo import MountEntry
from eci_supervisor.oci.overlay import OverlayError, parse_options
from eci_supervisor.oci.own_places import OwnPlaces
from eci_supervisor.oci.places import Entry, Located, Place, contained, inside, place_of
from eci_supervisor.oci.refusal import PolicyRefused
from eci_supervisor.oci.sources import mount_of
from eci_supervisor.settings import restricted

CODE = "mount.restricted"
BUILT_IN = "the built-in list"


@dataclass(frozen=True, slots=True)
class Ground:
    """What of the host is not like the rest of it. own: the container's; engine: tells the engine's sockets, and its files at run time;
    state_dir: ours; relay: the socket that takes the engine's place, "" for none.
    """

    own: OwnPlaces
    engine: Callable[[], tuple[str, ...]]
    state_dir: str
    relay: str = ""


class Restrictions:
    """The lists, opened when the first source needs them. `learned` is told of what a list alone would refuse, and it passes then."""

    def __init__(self, rules: BindRules, ground: Ground, table: tuple[MountEntry, ...],
                 learned: Callable[[PolicyRefused], None] | None = None) -> None:
        self._rules, self._ground, self._table, self._learned = rules, ground, table, learned
        self._opened: dict[str, Located | None] = {}
        self._denied: tuple[Entry, ...] | None = None

    def judge(self, fd: OwnedFd, written: str, read_only: bool) -> None:  # as a callable
        """Raises PolicyRefused with Docker's sentence."""
        if self._ground.relay and written == self._ground.relay:
            return
        status = os.stat(fd.fileno())
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            if stat.S_ISBLK(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) not in restricted.DEVICES:
                raise refused(written, "; it is a device of the host", BUILT_IN)
            return
        source, line = self._located(fd, status)
        if self._is_own(source, status):
            return
        if name := restricted.MAGICS.get(file_system_magic(fd.fileno())):
            raise refused(written, f"; it is on a {name} of the host", BUILT_IN)
        if stat.S_ISSOCK(status.st_mode):
            raise refused(written, "; it is a socket of the host that is not the engine's", BUILT_IN)
        self._lists(source, written, read_only=read_only)
        self._layers(line, written, read_only=read_only)

    def _lists(self, source: Located, written: str, *, read_only: bool) -> None:
        above = () if self._is_named_so(source.path) else self.above(source.path)
        denied = self._entries()
        if found := inside(source, above, denied):
            same = found.itself is not None and found.itself.identity == source.identity
            raise refused(written, "" if same else f"; it is inside {found.written}", self._where(found.written, "denied"))
        if found := contained(source, self.carried(source.path), denied):
            raise refused(written, f"; it contains {found.written}", self._where(found.written, "denied"))
        if not read_only and (found := inside(source, above, self.listed((*restricted.READ_ONLY, *self._rules.read_only)))):
            raise refused(written, "; only a read-only mount is allowed", self._where(found.written, "readOnly"))
        if self._rules.allowed and inside(source, above, self.listed(self._rules.allowed)) is None:
            refusal = refused(written, "; it is not at or below an allowed path", "eci.bindMounts.allowed", list_alone=True)
            if self._learned is None:
                raise refusal
            self._learned(refusal)

    def _layers(self, line: MountEntry, written: str, *, read_only: bool) -> None:
        """An overlay shows its layers: each is judged as if it were the source."""
        if line.fstype != b"overlay" or line.path == b"/":
            return
        try:
            options = parse_options(line.super_options)
        except OverlayError as error:
            raise refused(written, f"; {error}", BUILT_IN) from error
        for layer in (*options.lower, *options.data, *filter(None, [options.upper])):
            found = self._open(layer) if layer.startswith("/") else None
            if found is None:
                raise refused(written, "; it is an overlay whose layers cannot be seen", BUILT_IN)
            self._lists(found, written, read_only=read_only or layer != options.upper)

    def _entries(self) -> tuple[Entry, ...]:
        if self._denied is None:
            roots = (self._ground.own.data_root, *self._ground.engine(), self._ground.state_dir)
            self._denied = tuple(self.listed(dict.fromkeys((*restricted.DENIED, *filter(None, roots), *self._rules.denied))))
        return self._denied

    def located(self, fd: OwnedFd) -> Located:
        """Where something is that has been opened."""
        return self._located(fd, os.stat(fd.fileno()))[0]

    def listed(self, paths: Iterable[str]) -> Iterator[Entry]:
        """The paths of a list, opened."""
        for path in paths:
            found = self._open(path)
            yield Entry(path, found, self.above(os.path.normpath(path) if found is None else found.path))

    def above(self, path: str) -> tuple[Located, ...]:
        """The directories above a path of the host, nearest first."""
        found = []
        while path != "/":
            path = os.path.dirname(path)
            if (directory := self._open(path)) is not None:
                found.append(directory)
        return tuple(found)

    def carried(self, path: str) -> list[Place]:
        """The places of the mounts below a path, which a recursive bind brings along."""
        below = os.fsencode(path).rstrip(b"/") + b"/"
        return [Place((line.major, line.minor), line.root) for line in self._table if line.path.startswith(below)]

    def _open(self, path: str) -> Located | None:
        """None where there is no such file; any other error is one, since what cannot be looked at cannot be told apart."""
        if path not in self._opened:
            try:
                with openat2(AT_FDCWD, path, os.O_PATH, RESOLVE_NO_MAGICLINKS) as fd:
                    self._opened[path] = self._located(fd, os.stat(fd.fileno()))[0]
            except (FileNotFoundError, NotADirectoryError):
                self._opened[path] = None
        return self._opened[path]

    def _located(self, fd: OwnedFd, status: os.stat_result) -> tuple[Located, MountEntry]:
        path = os.readlink(f"/proc/self/fd/{fd.fileno()}")
        line = mount_of(fd.fileno(), self._table)
        return Located(path, (status.st_dev, status.st_ino), place_of(os.fsencode(path), line)), line

    def _is_own(self, source: Located, status: os.stat_result) -> bool:
        """By place: what a driver or a kubelet mounted there from another place of the host is judged like that place."""
        if source.path in self._ground.own.exactly:
            return True
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            return False
        return any(self._rest(directory, source) for directory in self._ground.own.below) or any(
            self._rest(directory, source)[1:2] == [b"_data"] for directory in self._ground.own.volumes)

    def _rest(self, directory: str, source: Located) -> list[bytes]:
        """The names between the place of a directory and that of a source below it; none where it is not."""
        found = self._open(directory)
        if found is None or not found.place.holds(source.place):
            return []
        return [name for name in source.place.path[len(found.place.path):].split(b"/") if name]

    def _is_named_so(self, path: str) -> bool:
        """Whether a path leads through a directory of the container's own, or a volume: then it tells nothing of where the source is."""
        return any(path.startswith(f"{directory}/") for directory in (*self._ground.own.below, *self._ground.own.volumes))

    def _where(self, path: str, name: str) -> str:
        given = self._rules.denied if name == "denied" else self._rules.read_only
        return f"eci.bindMounts.{name}[{given.index(path)}]" if path in given else BUILT_IN


def refused(written: str, detail: str, where: str, *, list_alone: bool = False) -> PolicyRefused:
    """Docker's sentence. where: the JSON path that refuses; list_alone: learn mode lets it pass."""
    return PolicyRefused(f"error in the container spec: can't mount {written} because it's configured as a restricted host mount{detail}",
                         CODE, where, list_alone=list_alone, subject=written)
