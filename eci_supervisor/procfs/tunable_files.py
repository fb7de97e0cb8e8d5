"""Serves a container's tunables, and /proc/pressure, by a FUSE connection of their own, without page cache.

Why another one than the views': they live from OPEN being answered ENOSYS, which holds for a whole connection. Then the kernel puts a
writer's bytes into the page cache before it asks us, and readers of that moment see them: cut at the old length, accepted or not. Here
every OPEN is answered, with DIRECT_IO: each read(2) is a request and gets one value, whole. pyfuse3 has one session a process.

Only containers that have tunables have this mount. What is not defined is ENOSYS: xattrs, fsync, listing, making and removing.
"""
import errno
import itertools
import os
import stat
import time
from typing import Final

import trio

from eci_supervisor.linux import mount_api
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.procfs import fuse_wire, tree
from eci_supervisor.procfs.fuse_wire import UNANSWERED, Attributes, Op, Read, Request
from eci_supervisor.procfs.node import Dir, File, Tunable
from eci_supervisor.procfs.pressure_files import READY, PressureFiles
from eci_supervisor.procfs.stores import Stores

FOREVER_S: Final = 86400  # names and directories do not change
BATCH: Final = 16  # requests, before others of the loop get their turn
DEVICE: Final = "/dev/fuse"
SETTLED_NS: Final = 100_000_000  # without writers: what is in the page cache, and its size, are of one value


class TunableFiles:
    """The connection of one container."""

    def __init__(self, stores: Stores, pressure: PressureFiles, uid: int) -> None:
        """`uid`: the host id of container root, and of its group. Raises OSError."""
        self._stores, self._pressure, self._uid = stores, pressure, uid
        self._connection = OwnedFd(os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._handles = itertools.count(1)
        self._shown: dict[int, bytes] = {}  # what each open file was shown from its beginning: it goes on with that
        self._writers: set[int] = set()  # handles of tunables that are open for writing
        self._left_ns = 0  # CLOCK_MONOTONIC: the last of them was closed
        self.requests = 0

    def mount(self, mountpoint: str) -> None:
        """On an empty directory of a private mount namespace. Raises OSError."""
        options = {"source": "eci", "subtype": "eci", "fd": str(self._connection.fileno()), "rootmode": f"{stat.S_IFDIR:o}",
                   "user_id": "0", "group_id": "0"}
        with mount_api.fsopen("fuse") as context:
            for key, value in options.items():
                mount_api.fsconfig_string(context.fileno(), key, value)
            for flag in ("allow_other", "default_permissions"):
                mount_api.fsconfig_flag(context.fileno(), flag)
            mount_api.fsconfig_create(context.fileno())
            with mount_api.fsmount(context.fileno()) as mount:
                mount_api.move_mount(mount.fileno(), mountpoint)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answers until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pressure.run, self._notify)
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(self._connection.fileno())
                for _ in range(BATCH):
                    if not self._serve_one():
                        break

    def close(self) -> None:
        """Ends the connection: from now on every tunable is ENOTCONN."""
        self._connection.close()

    def _serve_one(self) -> bool:
        """Whether there was a request. Raises OSError where the connection is over (ENODEV)."""
        try:
            packet = os.read(self._connection.fileno(), fuse_wire.LEAST_READ)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # taken back by its caller just then
                return True
            raise
        self.requests += 1
        request = fuse_wire.request(packet)
        if request.op not in UNANSWERED:
            self._reply(request)
        return True

    def _reply(self, request: Request) -> None:
        try:
            reply = fuse_wire.answer(request.unique, self._answer(request))
        except OSError as error:
            reply = fuse_wire.refusal(request.unique, error.errno or errno.EIO)
        self._say(reply)

    def _notify(self, kernel_handle: int) -> None:
        self._say(fuse_wire.poll_notice(kernel_handle))

    def _say(self, packet: bytes) -> None:
        try:
            os.write(self._connection.fileno(), packet)
        except FileNotFoundError:  # the caller has been killed, the file has been closed
            return

    def _answer(self, request: Request) -> bytes:
        """Raises OSError."""
        match request.op:
            case Op.INIT:
                return fuse_wire.init(request.body)
            case Op.LOOKUP:
                return fuse_wire.entry(self._attributes(child(request.node, request.body)), FOREVER_S, 0)
            case Op.SETATTR if fuse_wire.changes_mode_or_owner(request.body):
                raise OSError(errno.EPERM, "mode and owner are nobody's to change")
            case Op.GETATTR | Op.SETATTR:  # truncation and times change nothing, as with a sysctl
                of = self._attributes(request.node)
                return fuse_wire.attributes_out(of, FOREVER_S if stat.S_ISDIR(of.mode) else 0)
            case Op.STATFS:
                return fuse_wire.statfs()
            case _:
                return self._answer_of_file(request)

    def _answer_of_file(self, request: Request) -> bytes:
        """Raises OSError."""
        match request.op:
            case Op.OPEN:
                return self._opened(request)
            case Op.READ:
                return self._read(request.node, fuse_wire.read(request.body))
            case Op.WRITE:
                return self._written(request)
            case Op.POLL:
                return fuse_wire.poll_events(self._polled(request))
            case Op.RELEASE:
                return self._released(fuse_wire.released(request.body))
            case _:
                raise OSError(errno.ENOSYS, "not of this file system")

    def _opened(self, request: Request) -> bytes:
        handle = next(self._handles)
        if fuse_wire.opening(request.body) & os.O_ACCMODE != os.O_RDONLY and isinstance(tree.NODES.get(request.node), Tunable):
            self._writers.add(handle)
        return fuse_wire.opened(handle)

    def _released(self, handle: int) -> bytes:
        if handle in self._writers:
            self._writers.remove(handle)
            self._left_ns = time.monotonic_ns()
        self._shown.pop(handle, None)
        self._pressure.release(handle)
        return b""

    def _read(self, inode: int, read: Read) -> bytes:
        """The kernel puts a page of one moment and a size of another together where splice and sendfile meet writers.

        EINVAL then: who uses them goes on with read(2), as for a file that has none. A shared mapping has the file open for writing.
        """
        writable = read.opened & os.O_ACCMODE == os.O_RDWR
        content, changed_ns = self._content(inode)
        if read.cached and not writable and self._unsettled(inode, changed_ns):
            raise OSError(errno.EINVAL, "being written", inode)
        if not read.cached:
            content = self._shown.get(read.handle, content) if read.offset else content
            self._shown[read.handle] = content
        return content[read.offset:read.offset + read.size]

    def _unsettled(self, inode: int, changed_ns: int) -> bool:
        """A writer's RELEASE comes after the kernel has done with his bytes and the size, however long it was kept from that.

        Of all tunables alike, since a store can change two.
        """
        if isinstance(tree.NODES.get(inode), File):
            return time.time_ns() - changed_ns < SETTLED_NS
        return bool(self._writers) or time.monotonic_ns() - self._left_ns < SETTLED_NS

    def _written(self, request: Request) -> bytes:
        """With O_APPEND the kernel's offset is the file's size, and means 0."""
        handle, offset, flags, text = fuse_wire.written(request.body)
        if isinstance(tree.NODES.get(request.node), File):
            self._pressure.set(handle, request.node, text)
            return fuse_wire.taken(len(text))
        self._stores.write(request.node, 0 if flags & os.O_APPEND else offset, text, (request.pid, request.uid))
        return fuse_wire.taken(len(text))

    def _attributes(self, inode: int) -> Attributes:
        """Raises OSError: ENOENT."""
        node = tree.NODES.get(inode)
        if isinstance(node, Dir):
            return Attributes(inode, stat.S_IFDIR | 0o555, 0, self._uid, self._stores.changed_ns(inode))
        if isinstance(node, Tunable | File):
            content, changed_ns = self._content(inode)
            return Attributes(inode, stat.S_IFREG | node.mode, len(content), self._uid, changed_ns)
        raise OSError(errno.ENOENT, "no tunable", inode)

    def _content(self, inode: int) -> tuple[bytes, int]:
        """And the time of its last change. Raises OSError: ENOENT for what is served elsewhere."""
        node = tree.NODES.get(inode)
        if not isinstance(node, File):
            return self._stores.content(inode), self._stores.changed_ns(inode)
        if not node.pressure:
            raise OSError(errno.ENOENT, "a view", inode)
        snapshot = self._pressure.snapshot(inode)
        return snapshot.content, snapshot.mtime_ns

    def _polled(self, request: Request) -> int:
        """A tunable is always ready, and never says that it has changed."""
        return self._pressure.poll(*fuse_wire.polled(request.body)) if isinstance(tree.NODES.get(request.node), File) else READY


def child(parent: int, name: bytes) -> int:
    """The inode of a name below a directory; 0 for none."""
    directory = tree.NODES.get(parent)
    node = directory.entries.get(name.rstrip(b"\0")) if isinstance(directory, Dir) else None
    return 0 if node is None else node.inode
