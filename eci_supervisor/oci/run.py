"""run: staged as for create, then the real runtime's own run, which starts the container and, in the foreground, waits for its end."""
from contextlib import suppress

from eci_supervisor.life.record import load
from eci_supervisor.linux.process import alive
from eci_supervisor.oci.ask import SupervisorError
from eci_supervisor.oci.create import Making, create


def run(making: Making) -> int:
    """The container's exit code. In the foreground no delete follows, so what it had is given back here, unless --keep says not to."""
    line = making.call.line
    if line.switched("detach"):
        return create(making)
    making.prepare()
    code = making.run_real(Proof(making))
    if not line.switched("keep"):
        making.take_back()
    return code


class Proof:
    """The proof of the locks for a container that nobody holds between create and start: made as soon as its program runs.

    Before, the host's root is still in its mount namespace, and with it a procfs that would make any proof fail.
    """

    def __init__(self, making: Making) -> None:
        self._making = making
        self._init = (0, 0)

    def __call__(self) -> bool:
        """Whether it has been made, or the container was over before. Raises SupervisorError if the locks do not hold."""
        if self._init == (0, 0):
            state = load(self._making.call.directory)
            self._init = (state.init_pid, state.init_start) if state is not None else (0, 0)
            return False
        if not alive(*self._init):
            return True
        if not filtered(self._init[0]):
            return False
        try:
            self._making.prove()
        except SupervisorError:
            if alive(*self._init):
                raise
        self._making.watch()
        return True


def filtered(pid: int) -> bool:
    """Whether the seccomp filter is loaded: the runtime's last act but for the program's start, behind pivot_root."""
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        return b"\nSeccomp:\t2" in file.read()
    return False
