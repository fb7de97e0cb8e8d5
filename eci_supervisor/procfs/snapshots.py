"""What readers of each node see, and until when; what becomes of a write. All but the FUSE protocol itself.

GETATTR takes a snapshot and READ serves exactly that one: the kernel cuts what it reads at the size it was told. The mtime moves with
every snapshot that says something new and with every write, accepted or not: else the page cache would go on showing old bytes.
"""
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import File, Tunable
from eci_supervisor.procfs.sample import Sample
from eci_supervisor.procfs.sampler import Sampler, remaining_s
from eci_supervisor.procfs.tunables import Tunables

WRITE_LIMIT_BYTES = 4095  # of a sysctl the kernel looks at one page less one
EVENT_PAUSE_S = 1.0

OnFault = Callable[[str, Exception], None]  # (what, error): a source that is not understood, a value that could not be kept


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node's content, the sample it was rendered from (None: a tunable), and the time it was taken, CLOCK_REALTIME."""

    content: bytes
    sample: Sample | None
    mtime_ns: int

    @property
    def life_s(self) -> float:
        """How long it may still be shown without asking.

        A tunable is asked for at each open: after O_TRUNC and a write the kernel has the writer's size and bytes in its cache, and
        splice and sendfile (busybox cat) take them from there without a look at the attributes.
        """
        return 0.0 if self.sample is None else remaining_s(self.sample)


class Snapshots:
    """The present snapshots of one container, by inode."""

    def __init__(self, sampler: Sampler, tunables: Tunables, on_store: Callable[[Stored], None], on_fault: OnFault) -> None:
        self._sampler, self._tunables, self._on_store, self._on_fault = sampler, tunables, on_store, on_fault
        self._by_inode: dict[int, Snapshot] = {}
        self._event_at: dict[int, float] = {}
        self._feed()

    def take(self, inode: int) -> Snapshot:
        """The present snapshot of a file, a new one where the sample is a new one. Raises OSError: ENOENT for no file of ours, EIO."""
        known, node = self._by_inode.get(inode), tree.NODES.get(inode)
        if isinstance(node, File):
            sample = self._sampler.sample()
            if known is None or known.sample is not sample:
                return self._put(inode, self._rendered(inode, node, sample, known), sample)
            return known
        if isinstance(node, Tunable) and tree.PATHS[inode] in self._tunables:
            return known if known is not None and known.content == self._tunables.value(tree.PATHS[inode]) else self._renewed(inode)
        raise OSError(errno.ENOENT, "no file of ours", inode)

    def content(self, inode: int) -> bytes:
        """What the snapshot that was taken last says. Raises OSError as take()."""
        known = self._by_inode.get(inode)
        return (known or self.take(inode)).content

    def write(self, inode: int, offset: int, written: bytes, writer: tuple[int, int]) -> None:
        """A write(2) by `writer` (process id, user id). Raises OSError: EACCES, EINVAL, EIO; the value is then as before."""
        if not isinstance(tree.NODES.get(inode), Tunable):
            self._by_inode.pop(inode, None)  # the kernel may hold what a shared mapping wrote: a new mtime drops it
            raise OSError(errno.EACCES, "read-only node", inode)
        path = tree.PATHS[inode]
        old, refused = self._tunables.value(path), None
        if not offset:  # else ignored, and said to be written, as with sysctl_writes_strict
            try:
                refused = self._tunables.store(path, written[:WRITE_LIMIT_BYTES])
            except OSError as error:
                self._on_fault(os.fsdecode(path), error)
                refused = Deny(errno.EIO)
        new = self._renewed(inode).content
        if refused is not None:
            raise OSError(refused.errno, os.strerror(refused.errno), inode)
        if not offset:
            self._feed()
            self._tell(inode, Stored(path, old, new, self._tunables.host_value(path), *writer))

    def _feed(self) -> None:
        """CommitLimit of /proc/meminfo goes by the container's own values."""
        if tree.OVERCOMMIT_RATIO in self._tunables and tree.OVERCOMMIT_KBYTES in self._tunables:
            self._sampler.overcommit(*(int(self._tunables.value(path)) for path in (tree.OVERCOMMIT_RATIO, tree.OVERCOMMIT_KBYTES)))

    def _tell(self, inode: int, stored: Stored) -> None:
        now = time.monotonic()
        if stored.new != stored.host and now >= self._event_at.get(inode, 0.0):
            self._event_at[inode] = now + EVENT_PAUSE_S
            self._on_store(stored)

    def _rendered(self, inode: int, node: File, sample: Sample, last: Snapshot | None) -> bytes:
        """A view's text; the last one where its sources are not understood, EIO where there is none."""
        try:
            return node.render(sample)
        except (OSError, ValueError, ArithmeticError, LookupError) as error:
            self._on_fault(os.fsdecode(tree.PATHS[inode]), error)
            if last is None:
                raise OSError(errno.EIO, "cannot be rendered", inode) from error
            return last.content

    def _renewed(self, inode: int) -> Snapshot:
        return self._put(inode, self._tunables.value(tree.PATHS[inode]), None)

    def _put(self, inode: int, content: bytes, sample: Sample | None) -> Snapshot:
        """A view that says what it said keeps its mtime, and so the kernel its pages: then a new sample costs a GETATTR alone."""
        last = self._by_inode.get(inode)
        if last is not None and sample is not None and last.content == content:
            moved = last.mtime_ns
        else:
            moved = time.time_ns() if last is None else max(time.time_ns(), last.mtime_ns + 1)
        snapshot = self._by_inode[inode] = Snapshot(content, sample, moved)
        return snapshot
