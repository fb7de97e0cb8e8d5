"""Where the fork server and the supervisors live among the cgroups: never in the cgroup of whoever called eci-runc, nor in a container's.

A supervisor in its container's cgroup would stop when the container is paused; one in the engine's would die with the engine. Each
hierarchy that limits memory, processes or cpu has `eci`, and below it `server` and one cgroup for each supervisor; in every other
hierarchy the server joins the root.
"""
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

NAME = "eci"
SERVER = "server"
LIMITED = frozenset({"memory", "pids", "cpu"})
PIDS_MAX = b"512"  # one thread for each listener, that is for each exec that runs; the mounter and its children
MEMORY_MAX = b"268435456"  # bytes; an idle supervisor has about 6 MiB of its own
CPU_PERIOD_US, CPU_QUOTA_US = b"100000", b"100000"  # one CPU: what a container asks of us takes no more from the others
LIMITS_V1 = (
    ("memory", "memory.limit_in_bytes", MEMORY_MAX), ("pids", "pids.max", PIDS_MAX),
    ("cpu", "cpu.cfs_period_us", CPU_PERIOD_US), ("cpu", "cpu.cfs_quota_us", CPU_QUOTA_US),
)
LIMITS_V2 = (("memory.max", MEMORY_MAX), ("pids.max", PIDS_MAX), ("cpu.max", CPU_QUOTA_US + b" " + CPU_PERIOD_US))


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup hierarchy; `controllers` is empty for cgroup v2, where files say what there is."""

    mountpoint: str
    controllers: frozenset[str]
    unified: bool


def hierarchies(mountinfo: bytes) -> tuple[Hierarchy, ...]:
    """The hierarchies among the lines of /proc/PID/mountinfo; a line of another shape is passed over. Source: proc(5)."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(b" - ")
        words, rest = fields.split(b" "), tail.split(b" ")
        if len(words) < 5 or len(rest) < 3 or rest[0] not in (b"cgroup", b"cgroup2"):
            continue
        mountpoint = os.fsdecode(words[4].replace(b"\\040", b" "))
        options = frozenset(rest[2].decode("ascii", "replace").split(","))
        unified = rest[0] == b"cgroup2"
        found[mountpoint] = Hierarchy(mountpoint, frozenset() if unified else options, unified)
    return tuple(found.values())


class Home:
    """The cgroups of a fork server. `warn` is told what cannot be made: the limits are for the host's comfort."""

    def __init__(self, found: tuple[Hierarchy, ...], warn: Callable[[str], None]) -> None:
        self._found, self._warn = found, warn
        self._limiting = tuple(one for one in found if (_controllers(one.mountpoint) if one.unified else one.controllers & LIMITED))

    def enter(self, pid: int) -> None:
        """Takes the server out of its caller's cgroups."""
        for one in self._found:
            if one not in self._limiting:
                self._write(f"{one.mountpoint}/cgroup.procs", b"%d" % pid)
                continue
            self._enable(one, one.mountpoint)
            self._make(f"{one.mountpoint}/{NAME}")
            self._enable(one, f"{one.mountpoint}/{NAME}")
            self._make(f"{one.mountpoint}/{NAME}/{SERVER}")
            self._write(f"{one.mountpoint}/{NAME}/{SERVER}/cgroup.procs", b"%d" % pid)

    def put(self, key: str) -> None:
        """Makes the cgroup of a supervisor, who calls this, and moves it there. The kernel waits for a grace period of RCU."""
        for directory, one in self._of(key):
            self._make(directory)
            for name, value in self._limits(one):
                self._write(f"{directory}/{name}", value)
            self._write(f"{directory}/cgroup.procs", b"0")

    def remove(self, key: str) -> bool:
        """Removes the cgroup of a supervisor that is gone; False: a process of it, its mounter say, is still on its way out."""
        left = False
        for directory, _ in self._of(key):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                continue
            except OSError:
                left = True
        return not left

    def left_over(self) -> set[str]:
        """The keys for which a cgroup exists."""
        keys: set[str] = set()
        for one in self._limiting:
            with suppress(OSError):
                keys |= {entry.name for entry in os.scandir(f"{one.mountpoint}/{NAME}") if entry.is_dir() and entry.name != SERVER}
        return keys

    def _of(self, key: str) -> list[tuple[str, Hierarchy]]:
        return [(f"{one.mountpoint}/{NAME}/{key}", one) for one in self._limiting]

    @staticmethod
    def _limits(one: Hierarchy) -> list[tuple[str, bytes]]:
        """The files to be written in a supervisor's cgroup; on v2 a controller that could not be enabled has none."""
        if not one.unified:
            return [(name, value) for controller, name, value in LIMITS_V1 if controller in one.controllers]
        server = f"{one.mountpoint}/{NAME}/{SERVER}"
        return [(name, value) for name, value in LIMITS_V2 if os.path.exists(f"{server}/{name}")]

    def _enable(self, one: Hierarchy, directory: str) -> None:
        """On v2 what is below a cgroup has the controllers that it is told to pass on."""
        if one.unified:
            for controller in sorted(_controllers(directory)):
                self._write(f"{directory}/cgroup.subtree_control", b"+" + controller.encode())

    def _make(self, directory: str) -> None:
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            return
        except OSError as error:
            self._warn(f"{directory}: {error.strerror}: supervisors have no limits of their own there")

    def _write(self, path: str, value: bytes) -> None:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value)
            finally:
                os.close(fd)
        except OSError as error:
            self._warn(f"{path}: {error.strerror}: supervisors have no limits of their own there")


def _controllers(directory: str) -> frozenset[str]:
    """Those of LIMITED that a v2 cgroup has; on a hybrid host they are v1's."""
    try:
        with open(f"{directory}/cgroup.controllers", encoding="ascii") as file:
            return LIMITED & frozenset(file.read().split())
    except OSError:
        return frozenset()
