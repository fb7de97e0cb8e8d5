"""What a supervisor costs: private memory while its container idles."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.containers import playground
from bench.harness import BYTES, MIB, P50, Bench, Round, Variant, plain

ALLOWED_BYTES: Final = 6 * MIB


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
        yield lambda: [float(private_bytes(pid) + sum(map(private_bytes, children(pid)))) for pid in pids]


GOALS = (plain(P50, ALLOWED_BYTES),)
BENCHES = (Bench("private memory of an idle supervisor", Variant("supervisor and mounter", idle), goals=GOALS, rounds=1, unit=BYTES),)
