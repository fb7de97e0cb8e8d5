"""exec: a supervisor that listens, stdio that can be opened inside, in system mode all capabilities; the caller becomes the runtime."""
import json
import os
from collections.abc import Sequence

from eci_supervisor.forkserver import client
from eci_supervisor.life.record import load
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import ContainerDir, StateDir
from eci_supervisor.model.state import ContainerState, Mode
from eci_supervisor.oci.ask import is_supervised
from eci_supervisor.oci.call import Call, give_stdio
from eci_supervisor.oci.caller import Caller
from eci_supervisor.oci.rewrite import capabilities
from eci_supervisor.oci.spec import Spec, SpecError


def exec_(call: Call) -> int:
    """Never returns but by an exception: one that told() makes a sentence of."""
    state = load(call.directory)
    words: list[str] = []
    if state is not None:  # else the real runtime says that there is no such container
        supervise(call.state_dir, call.directory, state)
        give_stdio(call.caller, state.ids)
        if state.mode is Mode.SYSTEM:
            words = with_all_capabilities(call.caller, call.line.words, call.line.options.get("process", ""))
    call.caller.become(words)


def supervise(state_dir: StateDir, directory: ContainerDir, state: ContainerState) -> None:
    """The new process's listener needs somebody who takes it. A supervisor that died is replaced, for this process and those to come."""
    if is_supervised(directory):
        return
    try:
        with client.request_spawn(state_dir, state.key) as connection:
            client.wait_ready(connection)
    except client.ForkServerError as error:
        raise client.ForkServerError(f"its supervisor has ended and cannot be replaced: {error}") from error


def with_all_capabilities(caller: Caller, words: Sequence[str], process: str) -> list[str]:
    """The words of an exec as system mode has it: a changed copy of the process file, or every capability by --cap."""
    if not process:
        return [words[0], *(word for name in capabilities.ALL for word in ("--cap", name)), *words[1:]]
    with open(process, "rb") as file:
        copy = in_memory(system_process(file.read()))
    number = caller.free_number()
    caller.replace(number, copy)
    return replaced(words, process, f"/proc/self/fd/{number}")


def system_process(text: bytes) -> bytes:
    """A process object with all capabilities and without an AppArmor profile. Raises SpecError."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise SpecError(f"the process file is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SpecError("the process file is no JSON object")
    return capabilities.with_all(Spec(raw)).without("apparmorProfile").to_bytes()


def in_memory(content: bytes) -> OwnedFd:
    """A file that is nowhere: the real runtime has it open, and closes it before the container's program."""
    anonymous = OwnedFd(os.memfd_create("process.json"))
    os.write(anonymous.fileno(), content)
    return anonymous


def replaced(words: Sequence[str], process: str, copy: str) -> list[str]:
    """`words` with another value of --process, in whichever of its forms it was given; what follows the container's id is not touched."""
    for at, word in enumerate(words):
        if word in (f"--process={process}", f"-process={process}", f"-p={process}", f"-p{process}"):
            return [*words[:at], "--process", copy, *words[at + 1:]]
        if word in ("--process", "-process", "-p") and [*words[at + 1:at + 2]] == [process]:
            return [*words[:at + 1], copy, *words[at + 2:]]
    raise SpecError("the process file is given in a form that cannot be followed: write --process FILE")
