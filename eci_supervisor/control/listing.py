"""Containers as `eci` shows them: which there are, what state they are in, which one an abbreviated id means."""
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from eci_supervisor.linux import process
from eci_supervisor.model.state import ContainerState

SHORT = 12  # as engines shorten ids
CREATE_S = 60.0  # a create that has not got further by then never will


class Status(Enum):
    """What there is of a container."""

    CREATING = "creating"
    SUPERVISED = "supervised"
    UNSUPERVISED = "unsupervised"  # it runs, behind the kernel's locks; trapped calls are ENOSYS and virtual nodes ENOTCONN
    STOPPED = "stopped"


class NotOne(LookupError):
    """One sentence: no container, or several, are meant."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of `eci ps`. `up_s` is None where nothing runs."""

    state: ContainerState
    status: Status
    up_s: float | None


def status(state: ContainerState, *, init_alive: bool, supervisor_alive: bool, now: float) -> Status:
    """Pure: what is known from the record and from two looks."""
    if init_alive:
        return Status.SUPERVISED if supervisor_alive else Status.UNSUPERVISED
    if state.init_pid == 0 and (supervisor_alive or now - state.created < CREATE_S):
        return Status.CREATING
    return Status.STOPPED


def row(state: ContainerState) -> Row:
    """The container as it is now."""
    init_alive = process.alive(state.init_pid, state.init_start)
    supervisor_alive = process.alive(state.supervisor_pid, state.supervisor_start)
    now = time.time()
    return Row(state, status(state, init_alive=init_alive, supervisor_alive=supervisor_alive, now=now),
               now - state.created if init_alive else None)


def the_one(states: Sequence[ContainerState], abbreviated: str) -> ContainerState:
    """The container whose id is, or alone begins with, `abbreviated`. Raises NotOne."""
    exact = [state for state in states if abbreviated in (state.id, f"{state.root}/{state.id}")]
    found = exact or [state for state in states if abbreviated and state.id.startswith(abbreviated)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotOne(f"no container has an id that begins with {abbreviated!r}. `eci ps` lists them")
    if exact:
        roots = ", ".join(state.root for state in found)
        raise NotOne(f"{abbreviated!r} exists under several roots: {roots}. Write ROOT/{abbreviated}")
    raise NotOne(f"{abbreviated!r} is ambiguous: {', '.join(state.id[:SHORT + 8] for state in found[:5])}. Write more of the id")


def duration(seconds: float) -> str:
    """Two units at most: 12s, 5m 3s, 3h 12m, 4d 2h."""
    whole = int(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{smaller}"
    return f"{whole}s"
