"""What a fork server does before it listens: `python -I -c PROGRAM DIR [IDLE_SECONDS]`, started by client.py with a pipe as fd 3.

On the pipe it says `ready` once its socket listens, or one sentence. Imports come first: they must be done in the caller's mount
namespace, where our files were found, and before the first fork.
"""
import gc
import os
import resource
import signal
import socket
import sys
from functools import partial

from eci_supervisor import native
from eci_supervisor.forkserver import heritage, namespace
from eci_supervisor.forkserver.client import READY_FD
from eci_supervisor.forkserver.home import Home, hierarchies
from eci_supervisor.forkserver.plug import plugs
from eci_supervisor.forkserver.rehearsal import rehearse
from eci_supervisor.forkserver.server import IDLE_S, ForkServer, Work
from eci_supervisor.life.log import Log
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.pages import SharedPages
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.linux.sockets import listen_unix
from eci_supervisor.oci.creator import main as create
from eci_supervisor.supervisor import main as supervise

PR_SET_NAME = 15
OOM_SCORE_ADJ = b"-900"  # as systemd's own services have it: a container's memory must not cost its supervisor
NOFILE = 65536  # two fds for each container
BACKLOG = 128


class CannotServe(RuntimeError):
    """One sentence: why there is no fork server."""


def main() -> None:
    """Becomes a fork server; returns when it is not needed any more."""
    ready = OwnedFd(READY_FD)
    state_dir = StateDir(sys.argv[1])
    idle_s = float(sys.argv[2]) if len(sys.argv) > 2 else IDLE_S
    try:
        log = Log(state_dir.fork_log, fresh=True)
        os.dup2(log.fileno(), 2)  # what Python says when it must end; until now its caller reads that
        found = [*heritage.left(state_dir, log.warning)]
        _leave_the_caller(state_dir, log)
        home = Home(hierarchies(_read("/proc/self/mountinfo")), log.warning)
        home.enter(os.getpid())
        listener = _listen(state_dir)
    except (OSError, CannotServe) as error:
        os.write(ready.fileno(), str(error).encode())
        sys.exit(1)
    for key in home.left_over():
        home.remove(key)
    pages, kept = _prepare(state_dir, log)
    os.write(ready.fileno(), b"ready\n")
    ready.close()
    server = ForkServer(state_dir, listener, idle_s, home, Work(partial(supervise, pages=pages), create), log.warning)
    heritage.take_over(server.freshness, found, log.warning)
    server.run()
    del kept  # not before: until here a child may be forked


def _prepare(state_dir: StateDir, log: Log) -> tuple[SharedPages | None, list[object]]:
    """What makes supervisors small; they run without it as well. What is returned is to be kept as long as there are forks."""
    try:
        rehearse(state_dir, supervise)
    except OSError as error:
        log.warning(f"rehearsal: {error}: supervisors take more memory")
    gc.collect()
    kept = plugs()
    gc.freeze()  # the collector would write to each object's header, and so copy its page in each child
    try:
        return SharedPages(), kept
    except OSError as error:
        log.warning(f"shared pages: {error}: supervisors take more memory")
        return None, kept


def _leave_the_caller(state_dir: StateDir, log: Log) -> None:
    """Takes what a process inherits back to what the host's init has. Raises OSError, CannotServe."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    native.lib.prctl(PR_SET_NAME, native.ffi.new("char[]", b"eci-forkserver"))
    os.umask(0o077)
    before = os.stat(state_dir.path)
    namespace.enter((state_dir.path, os.path.dirname(native.__file__), sys.prefix), log)
    os.chdir("/")
    after = os.stat(state_dir.path) if os.path.isdir(state_dir.path) else None
    if after is None or (after.st_dev, after.st_ino) != (before.st_dev, before.st_ino):
        raise CannotServe(f"{state_dir.path} is not the same directory in the mount namespace of pid 1. Use one that is, with --state-dir")
    try:
        _write("/proc/self/oom_score_adj", OOM_SCORE_ADJ)
    except OSError as error:
        log.warning(f"oom_score_adj {OOM_SCORE_ADJ.decode()}: {error.strerror}: the host may end supervisors when memory is short")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, NOFILE) if hard != resource.RLIM_INFINITY else NOFILE, hard))


def _listen(state_dir: StateDir) -> socket.socket:
    """A listening socket at DIR/fork.sock; it takes the place of a dead server's, or of another version's, in one step."""
    os.makedirs(state_dir.containers, 0o700, exist_ok=True)
    os.makedirs(state_dir.staging, exist_ok=True)
    for directory in (state_dir.path, state_dir.staging):
        os.chmod(directory, 0o711)
    return listen_unix(state_dir.fork_socket, socket.SOCK_SEQPACKET, BACKLOG)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, value: bytes) -> None:
    with open(path, "wb") as file:
        file.write(value)
