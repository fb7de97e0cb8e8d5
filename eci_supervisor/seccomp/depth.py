"""How deep a thread's user namespace is nested, asked of the kernel while the thread is blocked."""
import os

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.namespaces import ancestors


def nested(tid: int) -> int:
    """User namespaces between the container's own and that of thread `tid`, the latter counted: 0 in the container's own.

    Raises FileNotFoundError or ProcessLookupError where the thread is gone.
    """
    with OwnedFd(os.open(f"/proc/{tid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)) as own:
        return max(0, ancestors(own.fileno()) - 1)
