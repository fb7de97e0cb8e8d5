"""Leases: which container has which range of host ids. Records under one lock, not locks held by processes (DIR/leases).

One file is one *reference* of one container to one range, `START.KEY`; a range is free when no file of its start is left. Containers
that join another's user namespace add a reference of their own. A file appears whole or not at all (written aside, then renamed), and
its name says all that take() needs to know, so that two hundred containers cost one listing of a directory.

A reference may go when its container is gone, however it went: its init is dead, and its cgroups are empty or gone. Before its init is
known: its creator is dead, and no process on the host has a user namespace with the range's map, for a creator may have been killed
after the runtime had made the container and before anybody had noted its init. That a supervisor died says nothing.
"""
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from errno import EINVAL, ENOENT, ESRCH
from typing import NamedTuple

from eci_supervisor.idmap.ranges import Pool, first_free, pool
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.process import alive, pids, start_time
from eci_supervisor.model.ids import IdRange

_FRESH = ".new"


class PoolExhausted(RuntimeError):
    """No range is left; the text is the sentence for the user."""


class Reference(NamedTuple):
    """A record's name."""

    start: int
    key: str

    def __str__(self) -> str:
        return f"{self.start}.{self.key}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A container's reference to its range.

    creator_pid and _start: the eci-runc that made the container; init_pid and _start: 0 until the runtime's hook has run;
    cgroups: directories that are the container's own, in every hierarchy that has one.
    """

    key: str
    ids: IdRange
    creator_pid: int
    creator_start: int
    init_pid: int = 0
    init_start: int = 0
    cgroups: tuple[str, ...] = ()

    @property
    def reference(self) -> Reference:
        return Reference(self.ids.start, self.key)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> "Lease":
        """Raises ValueError, TypeError or KeyError for anything that to_bytes does not write."""
        raw = json.loads(text)
        return cls(**{**raw, "ids": IdRange(**raw["ids"]), "cgroups": tuple(raw["cgroups"])})

    def in_use(self, *, creator_counts: bool = True) -> bool:
        """Whether its container, or who is making it, is still there."""
        if self.init_pid:
            return alive(self.init_pid, self.init_start) or any(populated(cgroup) for cgroup in self.cgroups)
        return creator_counts and alive(self.creator_pid, self.creator_start)


class Leases:
    """The leases of a state directory. Each method takes the lock for itself, for microseconds; all may be called by any process."""

    def __init__(self, state_dir: StateDir, subuid: str = "/etc/subuid", subgid: str = "/etc/subgid") -> None:
        self._directory = state_dir.leases
        self._files = (subuid, subgid)

    def take(self, key: str, *, creator_pid: int, creator_start: int) -> IdRange:
        """Leases the first free range to `key`; raises PoolExhausted, after what nobody uses any more has been reclaimed.

        Raises FileExistsError if the container has a lease already and is still there: then there is nothing to release.
        """
        source = pool(*(_text(path) for path in self._files))
        with self._locked() as references:
            self._must_be_new(references, key)
            ids = _free(source, references)
            if ids is None:
                self._drop(references, list(references))
                ids = _free(source, references)
            if ids is None:
                raise PoolExhausted(_exhausted(source, references))
            self._write(Lease(key, ids, creator_pid, creator_start))
            return ids

    def hold(self, ids: IdRange, key: str, *, creator_pid: int, creator_start: int) -> None:
        """Records a range that a spec brings of itself, so that no container of ours is given ids of it; raises as take()."""
        with self._locked() as references:
            self._must_be_new(references, key)
            self._write(Lease(key, ids, creator_pid, creator_start))

    def join(self, start: int, key: str, *, creator_pid: int, creator_start: int) -> IdRange:
        """Adds a reference of `key` to the range that begins at `start`; raises KeyError if nobody has that range, and as take()."""
        with self._locked() as references:
            self._must_be_new(references, key)
            holder = next((self._read(one) for one in references if one.start == start), None)
            if holder is None:
                raise KeyError(start)
            self._write(Lease(key, holder.ids, creator_pid, creator_start))
            return holder.ids

    def record_init(self, key: str, pid: int, start: int, cgroups: tuple[str, ...]) -> None:
        """Notes the container's init and cgroups: from now on the lease lives as long as they do. Raises KeyError."""
        with self._locked() as references:
            lease = self._read(_of(references, key))
            self._write(replace(lease, init_pid=pid, init_start=start, cgroups=cgroups))

    def release(self, key: str) -> bool:
        """Gives `key`'s range back; False, and nothing done, while a process of its container is there.

        The creator may be alive: it is who releases when it fails. Without a lease of `key` there is nothing to do.
        """
        with self._locked() as references:
            own = [one for one in references if one.key == key]
            return len(self._drop(references, own, by_creator=True)) == len(own)

    def give_up(self, key: str) -> None:
        """Gives `key`'s range back before anything was made with it: whoever has that range mapped by now is none of its container's."""
        with self._locked() as references:
            for one in references:
                if one.key == key and not self._read(one).init_pid:
                    os.unlink(f"{self._directory}/{one}")

    def reclaim(self) -> tuple[str, ...]:
        """Frees what no living container holds; the keys that lost their lease."""
        with self._locked() as references:
            return tuple(one.key for one in self._drop(references, list(references)))

    def of(self, key: str) -> Lease:
        """Raises KeyError."""
        with self._locked() as references:
            return self._read(_of(references, key))

    def listing(self) -> tuple[Lease, ...]:
        """All leases, first range first."""
        with self._locked() as references:
            return tuple(sorted((self._read(one) for one in references), key=lambda lease: lease.reference))

    @contextmanager
    def _locked(self) -> Iterator[list[Reference]]:
        """The names of all records, under the lock. What a crash left half written goes."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        lock = os.open(f"{self._directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            references = []
            for name in os.listdir(self._directory):
                start, _, key = name.partition(".")
                if name.endswith(_FRESH):
                    os.unlink(f"{self._directory}/{name}")
                elif start.isdecimal() and key:
                    references.append(Reference(int(start), key))
            yield references
        finally:
            os.close(lock)

    def _write(self, lease: Lease) -> None:
        path = f"{self._directory}/{lease.reference}"
        fd = os.open(path + _FRESH, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, lease.to_bytes())
        finally:
            os.close(fd)
        os.rename(path + _FRESH, path)

    def _read(self, reference: Reference) -> Lease:
        """A record; one that is unreadable (a disk that was full, another version) holds its range and is never in use."""
        try:
            with open(f"{self._directory}/{reference}", "rb") as file:
                return Lease.from_bytes(file.read())
        except (ValueError, TypeError, KeyError):
            return Lease(reference.key, IdRange(reference.start), 0, 0)

    def _drop(self, references: list[Reference], wanted: list[Reference], *, by_creator: bool = False) -> list[Reference]:
        """Removes those `wanted` references whose container is gone, from the directory and from `references`; returns them."""
        leases = [self._read(one) for one in wanted]
        dead = {lease.reference: lease for lease in leases if not lease.in_use(creator_counts=not by_creator)}
        # Whose init was never noted may run all the same: a range that is mapped then keeps its last reference. It is asked for those
        # alone, because a look at every process costs, and another state directory's containers may map the same ids.
        mapped = mapped_starts() if any(not lease.init_pid for lease in dead.values()) else set()
        held = {one.start for one in references if one not in dead}
        gone = [one for one, lease in dead.items() if lease.init_pid or one.start not in mapped or one.start in held]
        for one in gone:
            os.unlink(f"{self._directory}/{one}")
            references.remove(one)
        return gone

    def _must_be_new(self, references: list[Reference], key: str) -> None:
        own = [one for one in references if one.key == key]
        if own and len(self._drop(references, own)) < len(own):
            raise FileExistsError(f"container {key} has a lease already")


def populated(cgroup: str) -> bool:
    """Whether a process is in a cgroup or below it; False when it is gone. v2 says so itself, v1 has to be walked."""
    try:
        with open(f"{cgroup}/cgroup.events", "rb") as file:
            return b"populated 1" in file.read()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:  # ENODEV: it was removed while we read
        return False
    try:
        with open(f"{cgroup}/cgroup.procs", "rb") as file:
            if file.read(1):
                return True
        with os.scandir(cgroup) as entries:
            return any(populated(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return False


def mapped_starts() -> set[int]:
    """The host ids to which some process's user namespace maps its id 0."""
    starts: set[int] = set()
    for pid in pids():
        try:
            with open(f"/proc/{pid}/uid_map", "rb") as file:
                found = {int(line.split()[1]) for line in file if line.split()[0] == b"0"} - starts
        except OSError as error:
            if error.errno not in (ENOENT, ESRCH, EINVAL):  # it is gone; EINVAL is what the open says of a task that has just gone
                raise
            continue
        if found - {0} and start_time(pid) is not None:  # a zombie keeps its map, but can do nothing with it
            starts |= found
    return starts


def _of(references: list[Reference], key: str) -> Reference:
    for one in references:
        if one.key == key:
            return one
    raise KeyError(key)


def _free(source: Pool, references: list[Reference]) -> IdRange | None:
    return first_free(source, (IdRange(one.start) for one in references))


def _exhausted(source: Pool, references: list[Reference]) -> str:
    total = sum(1 for _ in source.ranges())
    if not source.areas:
        return 'no free id range: the lines "eci:" of /etc/subuid and /etc/subgid have no ids in common. Give both the same ids.'
    advice = 'widen the line "eci:" in /etc/subuid' if source.from_file else 'add a line "eci:FIRST:COUNT" to /etc/subuid and /etc/subgid'
    taken = len({one.start for one in references})
    return f"no free id range: {min(taken, total)} of {total} leases of {source} are taken. Remove containers, or {advice}."


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
