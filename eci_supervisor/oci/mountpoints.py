"""Places in a staged rootfs. Whatever links an image has, they lead to a place inside it: the kernel sees to that (RESOLVE_IN_ROOT)."""
import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from eci_supervisor.oci.refusal import StageRefused

_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_TRIES = 16  # EAGAIN: something was renamed meanwhile, in a volume that a running container shares


@dataclass(frozen=True, slots=True)
class Rootfs:
    """The staged rootfs: an O_PATH descriptor of it, and the path it is at in this mount namespace."""

    root: OwnedFd
    path: str

    def resolved(self, path: str) -> str:
        """Where an absolute path leads, as a path inside: links followed as far as it exists. Raises StageRefused."""
        tail = ""
        while True:
            try:
                with self._open(path) as found:
                    inside = os.readlink(f"/proc/self/fd/{found.fileno()}").removeprefix(self.path)
                    return os.path.normpath(f"{inside}{tail}") if inside or tail else "/"
            except FileNotFoundError:
                path, name = os.path.split(path.rstrip("/"))
                tail = f"/{name}{tail}"

    def place(self, path: str, *, directory: bool) -> OwnedFd:
        """An O_PATH descriptor of a resolved path, made if it is not there: as who the caller's file-system ids say.

        Raises StageRefused; a link, too: one that leads nowhere, or that came after the path was resolved.
        """
        try:
            found = self._open(path, RESOLVE_NO_SYMLINKS)
        except FileNotFoundError:
            self._make(path, directory=directory)
            found = self._open(path, RESOLVE_NO_SYMLINKS)
        if stat.S_ISDIR(os.stat(found.fileno()).st_mode) != directory:
            kinds = ("a directory", "a file") if directory else ("a file", "a directory")
            raise StageRefused(f"mount of {kinds[0]} on {path}: in the rootfs that is {kinds[1]}.")
        return found

    def copy_up(self, path: str) -> None:
        """Has an overlay copy up a directory, with those above it, that the container is going to hold; nothing else changes.

        Should the engine be the first to copy it up, the container could create nothing in it as long as it holds it: docs/freshness.md.
        """
        with contextlib.suppress(OSError, StageRefused), self._open(path) as found:  # then that may happen
            state = os.stat(found.fileno())
            if stat.S_ISDIR(state.st_mode) and state.st_dev == os.stat(self.root.fileno()).st_dev:  # no volume's
                os.chmod(f"/proc/self/fd/{found.fileno()}", stat.S_IMODE(state.st_mode))

    def _open(self, path: str, resolve: int = 0) -> OwnedFd:
        for _ in range(_TRIES):
            try:
                return openat2(self.root.fileno(), path, os.O_PATH, _RESOLVE | resolve)
            except OSError as error:
                if error.errno == errno.ELOOP and resolve:
                    raise StageRefused(f"mount on {path}: in the rootfs that is, or lies below, a link.") from error
                if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG):
                    raise StageRefused(f"mount on {path}: its path in the rootfs is no good: {os.strerror(error.errno)}.") from error
                if error.errno != errno.EAGAIN:
                    raise
        raise StageRefused(f"mount on {path}: its path in the rootfs does not hold still.")

    def _make(self, path: str, *, directory: bool) -> None:
        """Makes what is missing of a path, component by component."""
        parts = [part for part in path.split("/") if part]
        for count in range(1, len(parts) + 1):
            here = "/" + "/".join(parts[:count])
            try:
                self._open(here, RESOLVE_NO_SYMLINKS).close()
            except FileNotFoundError:
                self._make_one(os.path.dirname(here), parts[count - 1], directory=directory or count < len(parts))

    def _make_one(self, parent: str, name: str, *, directory: bool) -> None:
        with self._open(parent, RESOLVE_NO_SYMLINKS) as fd:
            try:
                if directory:
                    os.mkdir(name, 0o755, dir_fd=fd.fileno())
                else:
                    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=fd.fileno()))
            except FileExistsError:
                pass  # somebody was faster: what it is, the caller sees
            except OSError as error:
                raise StageRefused(f"mount on {parent.rstrip('/')}/{name}: it is not in the rootfs and cannot be made: "
                                   f"{os.strerror(error.errno or 0)}.") from error
