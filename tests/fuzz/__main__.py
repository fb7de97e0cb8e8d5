"""python -m tests.fuzz [SECONDS]: the long run of tests/fuzz/calls.c. Keeps what it found, and writes bench/results/fuzz.json."""
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.support import fuzzing, lanes

SECONDS = 600


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="eci-fuzz-") as name:
        run = fuzzing.fuzz(Path(name), seconds)
        fuzzing.keep(Path(name))
    lanes.record("fuzz", fuzzing.COVERED, {"seconds": seconds, **asdict(run)})
    print(f"{run.executions} inputs in {seconds} s, {run.edges} edges reached, nothing found")


if __name__ == "__main__":
    main()
