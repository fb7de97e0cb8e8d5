"""A container's cgroups by file descriptor: the directory in each hierarchy, and its ancestors. Reads are bounded."""
import errno
import os
from collections.abc import Mapping

from eci_supervisor.cgroup import parse
from eci_supervisor.linux.fds import OwnedFd

READ_LIMIT_BYTES = 1 << 20  # cpuacct.usage_all of 8192 CPUs is a third of it
CHUNK_BYTES = 16384
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class CgroupGone(Exception):  # the end of a container's life, no error
    """The container's own cgroup was removed."""


def read_text(path: bytes | str, dir_fd: int | None = None) -> bytes:
    """All of one file of procfs, sysfs or a cgroup, READ_LIMIT_BYTES at most. Raises OSError that names the file."""
    fd = os.open(path, FLAGS, dir_fd=dir_fd)
    try:
        return from_start(fd)
    finally:
        os.close(fd)


def from_start(fd: int) -> bytes:
    """What such a file says now: the kernel makes its text anew for whoever reads at its start. Raises OSError."""
    text = os.pread(fd, CHUNK_BYTES, 0)
    if len(text) == CHUNK_BYTES:
        while len(text) < READ_LIMIT_BYTES and (more := os.pread(fd, CHUNK_BYTES, len(text))):
            text += more
    return text


class Level:
    """One cgroup directory. What was read once stays open, for a page of the kernel's memory each: opening takes longer than reading."""

    __slots__ = ("_fd", "_files")

    def __init__(self, directory: bytes) -> None:
        self._fd = OwnedFd(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        self._files: dict[str, OwnedFd] = {}

    def read(self, name: str) -> bytes | None:
        """The text of one of its files; None where the kernel has no such file here."""
        try:
            if (file := self._files.get(name)) is None:
                file = self._files[name] = OwnedFd(os.open(name, FLAGS, dir_fd=self._fd.fileno()))
            return from_start(file.fileno())
        except OSError as error:
            # ENODEV: removed while open. EOPNOTSUPP: memory.swap.* and some memsw files without swap accounting.
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                return None
            error.filename = error.filename or name
            raise

    def fileno(self) -> int:
        """The directory, O_PATH, borrowed."""
        return self._fd.fileno()

    def is_gone(self) -> bool:
        """Whether the cgroup was removed: every live one has cgroup.procs."""
        try:
            os.stat("cgroup.procs", dir_fd=self._fd.fileno())
        except FileNotFoundError:
            return True
        return False

    def close(self) -> None:
        for file in (self._fd, *self._files.values()):
            file.close()


class Group:
    """A container's place in one hierarchy: `levels` is its own directory, then its ancestors, the hierarchy's root left out."""

    __slots__ = ("levels", "version")

    def __init__(self, place: parse.Place) -> None:
        """Raises OSError that names the directory."""
        self.version = place.version
        self.levels = tuple(Level(directory) for directory in place.ancestors())

    def own(self, name: str) -> bytes | None:
        """The container's own file; None where it has none. Raises CgroupGone."""
        text = self.levels[0].read(name)
        if text is None and self.levels[0].is_gone():
            raise CgroupGone(name)
        return text

    def nearest(self, name: str) -> bytes | None:
        """The file of the nearest level that has it. Raises CgroupGone."""
        text = self.own(name)
        for level in self.levels[1:]:
            if text is not None:
                break
            text = level.read(name)
        return text

    def close(self) -> None:
        for level in self.levels:
            level.close()


class Cgroups:
    """A container's groups in the hierarchies of those controllers that nodes are about, each opened once."""

    __slots__ = ("_by_place", "_places")
    CONTROLLERS = (b"memory", b"cpuset", b"cpuacct", b"cpu", b"pids", b"hugetlb", b"blkio", parse.UNIFIED)

    def __init__(self, places: Mapping[bytes, parse.Place]) -> None:
        """`places` as parse.places() gives them. Raises OSError that names the directory."""
        self._places = {controller: places[controller] for controller in self.CONTROLLERS if controller in places}
        self._by_place: dict[parse.Place, Group] = {}
        try:
            for place in self._places.values():
                if place not in self._by_place:
                    self._by_place[place] = Group(place)
        except OSError:
            self.close()
            raise

    def group(self, controller: bytes) -> Group | None:
        """Where `controller` is: its version 1 hierarchy if there is one, else version 2; None without either."""
        place = self._places.get(controller, self._places.get(parse.UNIFIED))
        return None if place is None else self._by_place[place]

    def unified(self) -> Group | None:
        """The container's own directory in version 2. In a hybrid only some runtimes make one, by the path of the others."""
        place, memory = self._places.get(parse.UNIFIED), self._places.get(b"memory")
        own = place is not None and (memory is None or memory.version == 2 or place.path == memory.path != b"")
        return self._by_place[place] if place is not None and own else None

    def close(self) -> None:
        for group in self._by_place.values():
            group.close()


def places_of(pid: int, proc: str = "/proc") -> dict[bytes, parse.Place]:
    """Where `pid` is now. Raises OSError, ParseError."""
    return parse.places(read_text(f"{proc}/{pid}/cgroup"), read_text(f"{proc}/self/mountinfo"))
