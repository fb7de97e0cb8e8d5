"""One supervisor for each container: of several that are asked for at once (execs into an unsupervised container) one serves.

The lock is on DIR/c/KEY/supervisor.lock and goes with the process that holds it; its fd is close-on-exec, so the mounter has none.
"""
import fcntl
import os
import socket
import time

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import ContainerDir
from eci_supervisor.linux.sockets import peer_credentials

PATIENCE_S = 10.0
PAUSE_S = 0.01


def alone(directory: ContainerDir) -> OwnedFd | int:
    """The lock; or the pid of the supervisor that serves already, once it does. Raises TimeoutError, OSError."""
    lock = OwnedFd(os.open(f"{directory.path}/supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pid := serving(directory):
                lock.close()
                return pid
            time.sleep(PAUSE_S)
        else:
            return lock
    lock.close()
    raise TimeoutError(f"{directory.path}: another supervisor has started and does not serve")


def serving(directory: ContainerDir) -> int:
    """The pid of the process that listens on the container's control socket, 0 if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect(directory.control_socket)
        except OSError:
            return 0
        return peer_credentials(connection).pid
