"""`docker run --rm IMAGE true`, by an engine of the bench's own: what a user waits for."""
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from bench.docker import engine
from bench.harness import P50, Bench, Round, Variant, ratio

ALLOWED: Final = 1.10
RUNS: Final = 4


def runs(runtime: str) -> Callable[[], AbstractContextManager[Round]]:
    @contextmanager
    def opened() -> Iterator[Round]:
        with engine(runtime, "/tmp") as docker:  # each side has its own: neither waits for the other's clean-up

            def once() -> float:
                command = docker.command("run", "--rm", "box", "true")
                before = time.perf_counter()
                subprocess.run(command, env=docker.environment(), stdin=subprocess.DEVNULL, check=True)
                return time.perf_counter() - before

            yield lambda: [once() for _ in range(RUNS)]

    return opened


BENCHES = (Bench("docker run --rm", Variant("eci-runc", runs("eci-runc")), Variant("runc", runs("runc")), (ratio(P50, ALLOWED),)),)
