"""`docker run --rm IMAGE true`, by an engine of the bench's own: what a user waits for."""
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from bench.containers import state_directory
from bench.harness import P50, Bench, Round, UnavailableError, Variant, ratio
from tests.support.engine import Engine
from tests.support.rootfs import make_root

ALLOWED: Final = 1.15  # design section 9 has 1.10
RUNS: Final = 4


@contextmanager
def engine(runtime: str) -> Iterator[Engine]:
    """Each side has an engine of its own, so that neither waits for the other's clean-up."""
    if shutil.which("dockerd") is None:
        raise UnavailableError("dockerd is not installed")
    with state_directory() as state, tempfile.TemporaryDirectory(prefix="eci-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)
        engine = Engine(directory, runtime, (f"--state-dir={state}", f"--audit-dir={directory}/audit"))
        engine.start()
        try:
            engine.import_image(make_root(directory / "image"), "box", 'CMD ["sh"]', "ENV PATH=/bin")
            yield engine
        finally:
            engine.close()


def runs(runtime: str) -> Callable[[], AbstractContextManager[Round]]:
    @contextmanager
    def opened() -> Iterator[Round]:
        with engine(runtime) as docker:

            def once() -> float:
                command = docker.command("run", "--rm", "box", "true")
                before = time.perf_counter()
                subprocess.run(command, env=docker.environment(), stdin=subprocess.DEVNULL, check=True)
                return time.perf_counter() - before

            yield lambda: [once() for _ in range(RUNS)]

    return opened


BENCHES = (Bench("docker run --rm", Variant("eci-runc", runs("eci-runc")), Variant("runc", runs("runc")), (ratio(P50, ALLOWED),)),)
