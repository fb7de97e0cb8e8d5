"""What create, run and exec have in common: the call, and the engine's pipes. Small: exec imports no more of the making of a container."""
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from eci_supervisor.linux.devices import is_null, private_null
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.ids import IdRange
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.decided import NOTHING_DECIDED, Decided
from eci_supervisor.oci.runtimes import RealRuntime


@dataclass(frozen=True, slots=True)
class Call:
    """A call of create, run or exec: what the command line says, made absolute; front: eci-runc's own path; decided: of create and run."""

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


def give_stdio(ids: IdRange) -> None:
    """The engine's pipes belong to host root, and /dev/stdout could not be opened inside. Never a tty or a file: those are the host's.

    crun gives container root whatever its stdio is; of the host's /dev/null it would be the owner, and could close it to everybody.
    """
    for fd in range(3):
        with suppress(OSError):  # a closed one
            status = os.fstat(fd)
            if stat.S_ISFIFO(status.st_mode):
                os.fchown(fd, ids.start, ids.start)
            elif is_null(status):
                with private_null() as null:
                    os.dup2(null.fileno(), fd)
