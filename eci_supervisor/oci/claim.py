"""DIR/c/KEY, a container's directory: made, and held by a lock while its container is being made."""
import fcntl
import os
from contextlib import suppress
from types import TracebackType

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import ContainerDir, StateDir


class BusyError(RuntimeError):
    """Another call of eci-runc is making this container at this moment."""


def make_state_directory(state_dir: StateDir) -> None:
    """What every container needs. Container root walks down to the staged rootfs with its own ids: 0711, nothing to read.

    The rootfs' own name must exist on the host too, empty: runc's exec starts from there before it joins the container.
    """
    os.makedirs(os.path.dirname(state_dir.path), exist_ok=True)
    for path in (state_dir.path, state_dir.containers, state_dir.staging, state_dir.staged_rootfs):
        try:
            os.mkdir(path, 0o711)
        except FileExistsError:
            continue
        os.chmod(path, 0o711)  # whatever the umask is


def write_file(path: str, content: bytes) -> None:
    """Readable by root alone."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)


class Claim:
    """The sole right to make a container: its directory, locked. The kernel gives the lock back when we end, however we end."""

    def __init__(self, directory: ContainerDir) -> None:
        """Makes the directory if need be. Raises BusyError."""
        self._lock = locked(directory.path)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.close()


def locked(path: str) -> OwnedFd:
    """The directory at `path`, made and locked; tried again if a delete takes it between two of our steps."""
    while True:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        try:
            lock = OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(lock.fileno()).st_ino:
                return lock
        except BlockingIOError:
            raise BusyError("another call is making this container at this moment") from None
        except FileNotFoundError:
            continue
