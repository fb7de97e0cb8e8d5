"""Serves a container's views, the virtual nodes that cannot be written, with pyfuse3, whose one importer this is.

Some facts about this file system (Linux 6.1 to 6.18, pyfuse3 3.3 to 3.5):

- OPEN and FLUSH are answered ENOSYS, so the kernel never sends them again and keeps a file's pages. Within the attributes' time to
  live a reader costs no request; after it, one GETATTR, and a READ if size or mtime moved.
- That GETATTR comes from each reader for itself; all but the first are answered by libeci-fuse.so (native/fuse_session.c).
- default_permissions asks for the directories' attributes too: they live long.
- A handler that raises anything but FUSEError ends the whole session: every one below translates OSError, and nothing else may come.
- What is not defined here is ENOSYS, which the kernel remembers: poll, xattrs, fsync, directory listings.
- read() looks whether the attributes have changed, splice and sendfile do not: for them only open() does, when their life is over.
- A READ makes the time of the last access unknown: the next fstat(2) asks once more, also within the life.
- A dead server is noticed when something is asked: with the attributes' time to live over, every node is ENOTCONN.
- No handler waits for anything of the container: a reader cannot be killed while its request is being answered.
"""
import errno
import stat
from types import SimpleNamespace

import trio

from eci_supervisor.linux.thread import in_thread
from eci_supervisor.procfs import (
    fuse_library,  # before pyfuse3
    tree,
)
from eci_supervisor.procfs.node import Dir, Tunable
from eci_supervisor.procfs.snapshots import Snapshots

# isort: split
import pyfuse3  # after fuse_library

CHECK_DEADLINE_S = 5.0
FOREVER_S = 86400.0  # names and directories do not change
OPTIONS = frozenset({"allow_other", "default_permissions", "fsname=eci", "subtype=eci", "nosuid", "nodev", "noexec"})


class _OneReader:
    """In the place of trio.Lock for pyfuse3's tasks that read requests: there is one, and a lock costs it a turn of the loop each time."""

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        return


# As pyfuse3.asyncio does it: this is where pyfuse3 finds trio.
pyfuse3.trio = SimpleNamespace(**{**vars(trio), "Lock": _OneReader})  # type: ignore[attr-defined]


class NotServingError(Exception):
    """The mount does not show what it should; the text says what it shows."""


class View(pyfuse3.Operations):
    """The file system of one container; a process can have one, since pyfuse3 has one session."""

    def __init__(self, snapshots: Snapshots, uid: int) -> None:
        """`uid`: the host id of container root, and of its group."""
        super().__init__()
        self._snapshots, self._uid = snapshots, uid
        self._attributes: dict[int, pyfuse3.EntryAttributes] = {}
        self._mountpoint = ""
        self._requests = 0

    @property
    def requests(self) -> int:
        """How many the kernel has made."""
        return self._requests + fuse_library.answered()

    def mount(self, mountpoint: str) -> None:
        """Mounts on an empty directory, best of a private mount namespace. Raises OSError."""
        try:
            pyfuse3.init(self, mountpoint, set(OPTIONS))
        except RuntimeError as error:  # libfuse has printed why
            raise OSError(errno.EIO, f"FUSE mount: {error}", mountpoint) from error
        self._mountpoint = mountpoint

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answers until cancelled; says started once two nodes read through the mount are what they must be. Raises NotServingError."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pyfuse3.main, 1, 1)  # no handler awaits anything, so more tasks would only cost
            with trio.fail_after(CHECK_DEADLINE_S):
                # In a thread: the loop that answers must not be the one that asks.
                await in_thread(self._check)
            task_status.started()

    def close(self) -> None:
        """Ends the connection: from now on every node, also one bound elsewhere, is ENOTCONN."""
        pyfuse3.close()

    def _check(self) -> None:
        """Without libeci-fuse.so in front of libfuse every file would be the same one."""
        try:
            uptime, swaps = (_content(f"{self._mountpoint}/proc/{name}") for name in ("uptime", "swaps"))
        except OSError as error:
            raise NotServingError(f"virtual nodes cannot be read: {error}") from error
        if not swaps.startswith(b"Filename\t") or not uptime[:1].isdigit():
            raise NotServingError(f"virtual nodes are mixed up: /proc/uptime is {uptime[:40]!r}, /proc/swaps is {swaps[:40]!r}")

    async def lookup(self, parent_inode: int, name: bytes, _ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        self._requests += 1
        parent = tree.NODES.get(parent_inode)
        node = parent.entries.get(name) if isinstance(parent, Dir) else None
        if node is None or isinstance(node, Tunable):
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes_of(node.inode)

    async def getattr(self, inode: int, _ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        self._requests += 1
        return self._attributes_of(inode)

    async def setattr(self, inode: int, _attr: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields, _fh: int | None,
                      _ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """Times change nothing; mode and owner are nobody's to change."""
        self._requests += 1
        if fields.update_mode or fields.update_uid or fields.update_gid:
            raise pyfuse3.FUSEError(errno.EPERM)
        return self._attributes_of(inode)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        """`fh` is the inode."""
        self._requests += 1
        try:
            return self._snapshots.content(fh)[off:off + size]
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from error

    async def write(self, fh: int, _off: int, _buf: bytes) -> int:
        """`fh` is the inode. By CAP_DAC_OVERRIDE it could be opened, or its mode is 0644: /proc/pressure."""
        self._requests += 1
        self._snapshots.drop(fh)
        raise pyfuse3.FUSEError(errno.EACCES)

    async def open(self, _inode: int, _flags: int, _ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Asked once: from then on default_permissions alone decides who may open."""
        self._requests += 1
        raise pyfuse3.FUSEError(errno.ENOSYS)

    async def statfs(self, _ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Of no size, as procfs."""
        self._requests += 1
        reply = pyfuse3.StatvfsData()
        reply.f_bsize = reply.f_frsize = 4096
        reply.f_namemax = 255
        return reply

    def _attributes_of(self, inode: int) -> pyfuse3.EntryAttributes:
        """One object a node, filled in anew: pyfuse3 is done with it before another request can come. Raises FUSEError."""
        node = tree.NODES.get(inode)
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        if (attributes := self._attributes.get(inode)) is None:
            mode = stat.S_IFDIR | 0o555 if isinstance(node, Dir) else stat.S_IFREG | node.mode
            attributes = self._attributes[inode] = self._new_attributes(inode, mode)
        if isinstance(node, Dir):
            return attributes
        try:
            snapshot = self._snapshots.take(inode)
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from error
        attributes.attr_timeout, attributes.st_size = snapshot.life_s, len(snapshot.content)
        attributes.st_atime_ns = attributes.st_mtime_ns = attributes.st_ctime_ns = snapshot.mtime_ns
        return attributes

    def _new_attributes(self, inode: int, mode: int) -> pyfuse3.EntryAttributes:
        attributes = pyfuse3.EntryAttributes()
        attributes.st_ino, attributes.st_mode, attributes.st_nlink = inode, mode, 1
        attributes.st_uid = attributes.st_gid = self._uid
        attributes.st_blksize = 4096
        attributes.entry_timeout = attributes.attr_timeout = FOREVER_S
        return attributes


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
