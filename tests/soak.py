"""python -m tests.soak: the long lines of the suite, with runc and with crun, and Docker's clients. Writes bench/results/soak.json if all
of it holds.
"""
import os
import subprocess
import sys
import time

from tests.support import lanes
from tests.support.driver import REPOSITORY

LONG = REPOSITORY / "tests/container/test_races.py"
CLIENTS = REPOSITORY / "tests/docker/test_clients.py"
# What the long lines run through: what judges, emulates and keeps, and the tests themselves.
COVERED = (
    LONG, CLIENTS, REPOSITORY / "tests/programs/rewriter.c",
    *(path for part in ("native", "eci_supervisor/docker", "eci_supervisor/mounts", "eci_supervisor/seccomp")
      for path in (REPOSITORY / part).rglob("*.[chp]*") if path.suffix in (".c", ".h", ".py")),
)  # fmt: skip


def main() -> int:
    begin = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", str(LONG), str(CLIENTS)]
    done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "ECI_SOAK": "1"}, check=False)
    if done.returncode == 0:
        taken = round(time.monotonic() - begin)
        lanes.record("soak", COVERED, {"seconds": taken, "race_s": 60, "signalled_mounts": 10_000, "runtimes": 2, "quiet_stream_s": 300,
                                        "saved_and_loaded_mb": 500})
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
