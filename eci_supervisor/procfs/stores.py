"""What a tunable reads as, and what becomes of a write to it. All but the FUSE protocol itself."""
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.tunables import Tunables

WRITE_LIMIT_BYTES = 4095  # of a sysctl the kernel looks at one page less one
EVENT_PAUSE_S = 1.0

OnFault = Callable[[str, Exception], None]  # (what, error): a value that could not be kept


@dataclass(frozen=True, slots=True)
class Stored:
    """A tunable was set to another value than the host's: node path, texts before and after, the host's, and who did it (host ids).

    What the kernel does is the host's value.
    """

    node: bytes
    old: bytes
    new: bytes
    host: bytes
    pid: int
    uid: int


class Stores:
    """The tunables of one container, by inode."""

    def __init__(self, tunables: Tunables, sampler: Sampler, on_store: Callable[[Stored], None], on_fault: OnFault) -> None:
        """`sampler` is told of those that views go by; `on_store` is called at most once a second for each node."""
        self._tunables, self._sampler, self._on_store, self._on_fault = tunables, sampler, on_store, on_fault
        self._begun_ns = time.time_ns()
        self._changed_ns: dict[int, int] = {}
        self._event_at: dict[int, float] = {}
        self._feed()

    def content(self, inode: int) -> bytes:
        """Raises OSError: ENOENT for no tunable of this container."""
        return self._tunables.value(self._path(inode))

    def changed_ns(self, inode: int) -> int:
        """Time of the last write, CLOCK_REALTIME; of our start without any."""
        return self._changed_ns.get(inode, self._begun_ns)

    def write(self, inode: int, offset: int, written: bytes, writer: tuple[int, int]) -> None:
        """A write(2) by `writer` (process id, user id). Raises OSError: EINVAL, EIO, ENOENT; the value is then as before."""
        path = self._path(inode)
        self._changed_ns[inode] = time.time_ns()
        if offset:  # ignored, and said to be written, as with sysctl_writes_strict
            return
        old, refused = self._tunables.value(path), None
        try:
            refused = self._tunables.store(path, written[:WRITE_LIMIT_BYTES])
        except OSError as error:
            self._on_fault(os.fsdecode(path), error)
            refused = Deny(errno.EIO)
        if refused is not None:
            raise OSError(refused.errno, os.strerror(refused.errno), inode)
        self._feed()
        self._tell(inode, Stored(path, old, self._tunables.value(path), self._tunables.host_value(path), *writer))

    def _path(self, inode: int) -> bytes:
        path = tree.PATHS.get(inode, b"")
        if path not in self._tunables:
            raise OSError(errno.ENOENT, "no tunable of this container", inode)
        return path

    def _feed(self) -> None:
        """CommitLimit of /proc/meminfo goes by the container's own values."""
        if tree.OVERCOMMIT_RATIO in self._tunables and tree.OVERCOMMIT_KBYTES in self._tunables:
            self._sampler.overcommit(*(int(self._tunables.value(path)) for path in (tree.OVERCOMMIT_RATIO, tree.OVERCOMMIT_KBYTES)))

    def _tell(self, inode: int, stored: Stored) -> None:
        now = time.monotonic()
        if stored.new != stored.host and now >= self._event_at.get(inode, 0.0):
            self._event_at[inode] = now + EVENT_PAUSE_S
            self._on_store(stored)
