"""exec: a supervisor that listens, stdio that can be opened inside, in system mode all capabilities; then we become the real runtime."""
import fcntl
import json
import os
from collections.abc import Sequence

from eci_supervisor.forkserver import client
from eci_supervisor.life.record import load
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.state import ContainerState, Mode
from eci_supervisor.oci import child
from eci_supervisor.oci.ask import is_supervised
from eci_supervisor.oci.call import Call, give_stdio
from eci_supervisor.oci.spec import Spec, SpecError

ABOVE_PRESERVED = 512  # the copy's fd: above all that --preserve-fds may hand to the container


def exec_(call: Call) -> int:
    """Never returns but by an exception: one that shim.main makes a sentence of."""
    state = load(call.directory)
    words = list(call.line.words)
    if state is not None:  # else the real runtime says that there is no such container
        supervise(call.state_dir, call.directory, state)
        give_stdio(state.ids)
        if state.mode is Mode.SYSTEM:
            words = with_all_capabilities(words, call.line.options.get("process", ""))
    child.replace([call.runtime.path, *call.line.before, *words])


def supervise(state_dir: StateDir, directory: ContainerDir, state: ContainerState) -> None:
    """The new process's listener needs somebody who takes it. A supervisor that died is replaced, for this process and those to come."""
    if is_supervised(directory):
        return
    try:
        with client.request_spawn(state_dir, state.key) as connection:
            client.wait_ready(connection)
    except client.ForkServerError as error:
        raise client.ForkServerError(f"its supervisor has ended and cannot be replaced: {error}") from error


def with_all_capabilities(words: list[str], process: str) -> list[str]:
    """The words of an exec as system mode has it: a changed copy of the process file, or every capability by --cap."""
    from eci_supervisor.oci.rewrite import capabilities  # with it comes all that changes a spec, which other execs do without

    if not process:
        return [words[0], *(word for name in capabilities.ALL for word in ("--cap", name)), *words[1:]]
    with open(process, "rb") as file:
        copy = in_memory(system_process(file.read()))
    return replaced(words, process, copy)


def system_process(text: bytes) -> bytes:
    """A process object with all capabilities and without an AppArmor profile. Raises SpecError."""
    from eci_supervisor.oci.rewrite import capabilities

    try:
        raw = json.loads(text)
    except ValueError as error:
        raise SpecError(f"the process file is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SpecError("the process file is no JSON object")
    return capabilities.with_all(Spec(raw)).without("apparmorProfile").to_bytes()


def in_memory(content: bytes) -> str:
    """The path of a file that is nowhere: its fd stays open over execve, and the runtime closes it before the container's program."""
    anonymous = os.memfd_create("process.json")
    os.write(anonymous, content)
    fd = fcntl.fcntl(anonymous, fcntl.F_DUPFD, ABOVE_PRESERVED)
    os.close(anonymous)
    return f"/proc/self/fd/{fd}"


def replaced(words: Sequence[str], process: str, copy: str) -> list[str]:
    """`words` with another value of --process, in whichever of its forms it was given; what follows the container's id is not touched."""
    for at, word in enumerate(words):
        if word in (f"--process={process}", f"-process={process}", f"-p={process}", f"-p{process}"):
            return [*words[:at], "--process", copy, *words[at + 1:]]
        if word in ("--process", "-process", "-p") and words[at + 1:at + 2] == [process]:
            return [*words[:at + 1], copy, *words[at + 2:]]
    raise SpecError("the process file is given in a form that cannot be followed: write --process FILE")
