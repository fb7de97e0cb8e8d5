"""What a supervisor costs: the time from asking for one until it serves, and its private memory while its container idles."""
import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.containers import playground, state_directory
from bench.harness import BYTES, MIB, P50, Bench, Round, UnavailableError, Variant, plain
from eci_supervisor.forkserver import client
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState, Mode, container_key
from tests.support.waiting import wait_gone

ALLOWED_BYTES: Final = 6 * MIB
IDLE_S: Final = 3.0  # what start has taken is given back within 1 or 2
SPAWNS: Final = 10


def private_bytes(pid: int) -> int:
    """Memory that no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


@contextmanager
def idle() -> Iterator[Round]:
    """The supervisor of a running container and the mounter, its child; three containers, so that what they share counts as shared."""
    with playground() as place:
        pids = [place.container(place.ours).up().record().supervisor_pid for _ in range(3)]
        time.sleep(IDLE_S)
        yield lambda: [float(private_bytes(pid) + sum(map(private_bytes, children(pid)))) for pid in pids]


def recorded(state: StateDir, name: str) -> ContainerState:
    """A container that create has written down, and no more."""
    key = container_key("/bench", name)
    record = ContainerState(
        key, name, "/bench", "/", Mode.ECI, IdRange(100000), token="bench", real_runtime="runc", audit_dir=f"{state.path}/audit",
        created=time.time(), rootfs="/",
    )
    directory = state.container(key)
    os.makedirs(directory.path, 0o700)
    Path(directory.state).write_bytes(record.to_bytes())
    return record


@contextmanager
def spawning() -> Iterator[Round]:
    """Supervisors of containers that never come."""
    if os.geteuid() != 0:
        raise UnavailableError("not root")
    numbers = itertools.count()

    def once(state: StateDir) -> float:
        record = recorded(state, f"c{next(numbers)}")
        before = time.perf_counter()
        connection = client.request_spawn(state, record.key)
        pid = client.wait_ready(connection)
        took_s = time.perf_counter() - before
        connection.close()
        os.kill(pid, signal.SIGTERM)
        wait_gone(pid)
        return took_s

    with state_directory() as path:
        yield lambda: [once(StateDir(str(path))) for _ in range(SPAWNS)]


GOALS = (plain(P50, ALLOWED_BYTES),)
BENCHES = (
    Bench("private memory of an idle supervisor", Variant("supervisor and mounter", idle), goals=GOALS, rounds=1, unit=BYTES),
    Bench("spawn of a supervisor", Variant("until it serves", spawning)),
)
