"""What readers of each view see, and until when. All but the FUSE protocol itself.

GETATTR takes a snapshot and READ serves exactly that one: the kernel cuts what it reads at the size it was told. The mtime moves with
every snapshot that says something new: else the page cache would go on showing old bytes.
"""
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import File
from eci_supervisor.procfs.sample import Sample
from eci_supervisor.procfs.sampler import Sampler, remaining_s

OnFault = Callable[[str, Exception], None]  # (what, error): a source that is not understood


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A view's content, the sample it was rendered from, and the time it was taken, CLOCK_REALTIME."""

    content: bytes
    sample: Sample
    mtime_ns: int

    @property
    def life_s(self) -> float:
        """How long it may still be shown without asking."""
        return remaining_s(self.sample)


class Snapshots:
    """The present snapshots of one container, by inode."""

    def __init__(self, sampler: Sampler, on_fault: OnFault) -> None:
        self._sampler, self._on_fault = sampler, on_fault
        self._by_inode: dict[int, Snapshot] = {}

    def take(self, inode: int) -> Snapshot:
        """The present snapshot of a view, a new one where the sample is a new one. Raises OSError: ENOENT for no view of ours, EIO."""
        known, node = self._by_inode.get(inode), tree.NODES.get(inode)
        if not isinstance(node, File):
            raise OSError(errno.ENOENT, "no view of ours", inode)
        sample = self._sampler.sample()
        if known is not None and known.sample is sample:
            return known
        return self._put(inode, self._rendered(inode, node, sample, known), sample)

    def content(self, inode: int) -> bytes:
        """What the snapshot that was taken last says. Raises OSError as take()."""
        known = self._by_inode.get(inode)
        return (known or self.take(inode)).content

    def drop(self, inode: int) -> None:
        """The kernel may hold what a shared mapping wrote, which was refused: a new mtime makes it ask again."""
        self._by_inode.pop(inode, None)

    def _rendered(self, inode: int, node: File, sample: Sample, last: Snapshot | None) -> bytes:
        """A view's text; the last one where its sources are not understood, EIO where there is none."""
        try:
            return node.render(sample)
        except (OSError, ValueError, ArithmeticError, LookupError) as error:
            self._on_fault(os.fsdecode(tree.PATHS[inode]), error)
            if last is None:
                raise OSError(errno.EIO, "cannot be rendered", inode) from error
            return last.content

    def _put(self, inode: int, content: bytes, sample: Sample) -> Snapshot:
        """A view that says what it said keeps its mtime, and so the kernel its pages: then a new sample costs a GETATTR alone."""
        last = self._by_inode.get(inode)
        if last is not None and last.content == content:
            moved = last.mtime_ns
        else:
            moved = time.time_ns() if last is None else max(time.time_ns(), last.mtime_ns + 1)
        snapshot = self._by_inode[inode] = Snapshot(content, sample, moved)
        return snapshot
