"""python -m tests.soak [LANE...]: the long lines of the suite. Writes bench/results/LANE.json for each lane that holds."""
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support import lanes
from tests.support.driver import REPOSITORY

RACE_S, ROUNDS = 60, 10_000


@dataclass(frozen=True, slots=True)
class Lane:
    """Tests that last longer under ECI_SOAK. covered: the code that their result is of; facts: how long, how much."""

    tests: Path
    covered: tuple[Path, ...]
    facts: dict[str, object]


def here(*paths: str) -> tuple[Path, ...]:
    return tuple(REPOSITORY / path for path in paths)


LANES = {
    # An emulation happens once, and acts on what was judged.
    "soak": Lane(
        REPOSITORY / "tests/container/test_races.py",
        here("tests/container/test_races.py", "tests/programs/rewriter.c", "tests/programs/preempted.go", "native/lane.c",
             "native/usual.c", "native/emulate.c", "eci_supervisor/seccomp/repeats.py", "eci_supervisor/seccomp/effects.py"),
        {"race_s": RACE_S, "signalled_mounts": ROUNDS, "preempted_mounts": ROUNDS, "runtimes": 2},
    ),
    # Docker's clients behind the relay.
    "soak-clients": Lane(
        REPOSITORY / "tests/docker/test_clients.py",
        (*here("tests/docker/test_clients.py"), *(REPOSITORY / "eci_supervisor/docker").glob("*.py")),
        {"quiet_stream_s": 300, "saved_and_loaded_mb": 500},
    ),
}  # fmt: skip


def held(name: str) -> bool:
    lane, begin = LANES[name], time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", str(lane.tests)]
    if subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "ECI_SOAK": "1"}, check=False).returncode:
        return False
    lanes.record(name, lane.covered, {"seconds": round(time.monotonic() - begin), **lane.facts})
    return True


def main() -> int:
    results = [held(name) for name in sys.argv[1:] or LANES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
