"""The real runtime as a child of ours, for what its caller does not hear: what it says of itself, and the removal of a failed container."""
import os
from collections.abc import Sequence
from signal import SIGPIPE, SIGXFSZ


def output(argv: Sequence[str]) -> bytes:
    """What a program that ends soon says on stdout; its stderr is not heard. Nothing where it fails."""
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawned(argv, write)
    finally:
        os.close(write)
    with open(read, "rb") as said:
        text = said.read()
    return text if os.waitpid(pid, 0)[1] == 0 else b""


def silently(argv: Sequence[str]) -> None:
    """Runs a program to its end, whatever that is."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.waitpid(_spawned(argv, null), 0)
    finally:
        os.close(null)


def _spawned(argv: Sequence[str], stdout: int) -> int:
    """The pid. Python ignores two signals, which a program would inherit."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    redirected = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    try:
        return os.posix_spawn(argv[0], list(argv), os.environ, file_actions=redirected, setsigdef=(SIGPIPE, SIGXFSZ))
    finally:
        os.close(null)
