"""The real runtime as our child: with our descriptors, directory and environment as they came, and the signals that are sent to us.

Some facts. Python ignores SIGPIPE and may set LC_CTYPE: both would reach the container's init through the runtime, so both are undone.
LISTEN_PID names the process that socket activation is meant for, which is the runtime. A terminal signals its whole process group: the
child has got such a signal already, so only what a process sent is sent on.
"""
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from eci_supervisor.native import ffi, lib

PR_SET_PDEATHSIG = 1
NOT_FORWARDED = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
                 signal.SIGCONT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS,
                 signal.SIGTRAP}  # fmt: skip
WATCHED = {number for number in signal.valid_signals() if number not in NOT_FORWARDED} | {signal.SIGCHLD}
STEP_S = 0.01


def run(argv: Sequence[str], meanwhile: Callable[[], bool] | None = None, *, silent: bool = False) -> int:
    """Runs argv[0] to its end; its exit code as a shell gives it.

    `meanwhile` is called again and again until it returns True or the child has ended; `silent`: its three standard descriptors are
    /dev/null. The child dies with us, as if it had been killed in our place.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(argv, before, parent, silent=silent)
    try:
        return _wait(pid, meanwhile)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def output(argv: Sequence[str]) -> bytes:
    """What a program that ends soon says on stdout; its stderr is not heard. Nothing where it fails."""
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    redirected = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    try:
        pid = os.posix_spawn(argv[0], list(argv), environment(), file_actions=redirected)
    finally:
        os.close(write)
        os.close(null)
    with open(read, "rb") as said:
        text = said.read()
    return text if os.waitpid(pid, 0)[1] == 0 else b""


def replace(argv: Sequence[str], meant: int = 0) -> NoReturn:
    """Becomes the real runtime. `meant`: the process that the engine started, if that is not this one."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(argv[0], list(argv), environment(meant, os.getpid()))


def environment(meant: int = 0, listener: int = 0) -> dict[bytes, bytes]:
    """The environment that we were started with; socket activation meant for process `meant` is then meant for `listener`."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if b"=" in entry)
        found = {name: value for name, _, value in pairs if name}
    if meant and found.get(b"LISTEN_PID") == b"%d" % meant:
        found[b"LISTEN_PID"] = b"%d" % listener
    return found


def _become(argv: Sequence[str], mask: set[signal.Signals] | set[int], parent: int, *, silent: bool) -> NoReturn:
    try:
        lib.prctl(PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL.value))
        if os.getppid() != parent:
            os._exit(137)
        if silent:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            for fd in range(3):
                os.dup2(null, fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        replace(argv, parent)
    except (OSError, ValueError) as error:
        os.write(2, f"eci-runc: {argv[0]}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _wait(pid: int, meanwhile: Callable[[], bool] | None) -> int:
    while True:
        got = signal.sigwaitinfo(WATCHED) if meanwhile is None else signal.sigtimedwait(WATCHED, STEP_S)
        if got is None or got.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif got.si_code <= 0:  # SI_USER and its kin: a process sent it
            os.kill(pid, got.si_signo)
        if meanwhile is not None and meanwhile():
            meanwhile = None
