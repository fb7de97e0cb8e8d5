"""What create, run and exec have in common: the call, and the engine's pipes."""
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from eci_supervisor.linux.devices import is_null, private_null
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import container_key
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.caller import Caller
from eci_supervisor.oci.decided import NOTHING_DECIDED, Decided
from eci_supervisor.oci.refusals import Refused
from eci_supervisor.oci.runtimes import RealRuntime, absolute_root

SOCKET_PATH_LIMIT = 107  # sun_path, less its NUL


@dataclass(frozen=True, slots=True)
class Call:
    """A call of create, run or exec: what the command line says, made absolute; front: eci-runc's own path; decided: of create and run."""

    caller: Caller
    line: CommandLine
    runtime: RealRuntime
    front: str
    root: str
    bundle: str
    state_dir: StateDir
    key: str
    decided: Decided = NOTHING_DECIDED

    @property
    def directory(self) -> ContainerDir:
        return self.state_dir.container(self.key)

    @property
    def config(self) -> str:
        return os.path.join(self.bundle, self.line.options.get("config", "config.json"))


def call_of(caller: Caller, real: str, front: str, line: CommandLine) -> Call:
    """Relative paths are the caller's, whose working directory is ours by now. Raises Refused."""
    check_paths(line)
    directory, runtime = os.getcwd(), RealRuntime(real)
    root = absolute_root(line, runtime, directory)
    return Call(caller=caller, line=line, runtime=runtime, front=front, root=root,
                bundle=os.path.join(directory, line.options.get("bundle", ".")), state_dir=StateDir(line.state_dir),
                key=container_key(root, line.id))


def check_paths(line: CommandLine) -> None:
    """Raises Refused."""
    longest = StateDir(line.state_dir).container(container_key("", "")).control_socket
    if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
        raise Refused(f"--state-dir={line.state_dir} is too long for the sockets in it: take a path of at most 60 bytes")


def give_stdio(caller: Caller, ids: IdRange) -> None:
    """The engine's pipes belong to host root, and /dev/stdout could not be opened inside. Never a tty or a file: those are the host's.

    crun gives container root whatever its stdio is; of the host's /dev/null it would be the owner, and could close it to everybody.
    """
    for fd in range(3):
        with suppress(OSError):  # a closed one
            status = os.fstat(fd)
            if stat.S_ISFIFO(status.st_mode):
                os.fchown(fd, ids.start, ids.start)
            elif is_null(status):
                caller.replace(fd, private_null())
