"""Removing directories into which others may have written."""
import errno
import os
import stat
from contextlib import suppress

from eci_supervisor.linux.fds import OwnedFd

MAX_DEPTH = 64  # overlayfs' own work directory has three levels; a whiteout's copy none
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Removes a directory and what is below it, by fds from the parent down: no link is followed, wherever it is put meanwhile.

    Nothing there is success. Raises OSError; ELOOP below the depth that work directories have.
    """
    with suppress(FileNotFoundError), OwnedFd(os.open(os.path.dirname(path), _DIRECTORY)) as parent:
        _remove_below(parent.fileno(), os.path.basename(path), MAX_DEPTH)


def _remove_below(parent: int, name: str, levels: int) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if levels == 0:
        raise OSError(errno.ELOOP, "too deep to be removed", name)
    with OwnedFd(os.open(name, _DIRECTORY, dir_fd=parent)) as directory:
        for inner in os.listdir(directory.fileno()):
            _remove_below(directory.fileno(), inner, levels - 1)
    os.rmdir(name, dir_fd=parent)
