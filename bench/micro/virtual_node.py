"""open, read, close of the virtual /proc/uptime. References: a tmpfs file, the native node, and lxcfs's node of that name."""
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.harness import MEAN, P50, Bench, Round, UnavailableError, Variant, ratio
from tests.support import lxcfs as of_lxcfs
from tests.support.view import served

LIFE_S: Final = 0.1
BURST: Final = 2000  # 10 to 20 ms: within one life, but for one read in some bursts
PACE_S: Final = 0.01
PACED: Final = 50
LATE: Final = 8

Opened = Callable[[], AbstractContextManager[str]]  # yields the path of a file to read


@contextmanager
def virtual() -> Iterator[str]:
    """Ours, of a process that stands for a container's init."""
    with TemporaryDirectory(prefix="eci-bench-") as directory, subprocess.Popen(["sleep", "3600"]) as init:
        try:
            with served(Path(directory)) as view:
                view.ask(f"attach {init.pid}")
                yield str(view.proc("uptime"))
        finally:
            init.kill()


@contextmanager
def lxcfs() -> Iterator[str]:
    if shutil.which("lxcfs") is None:
        raise UnavailableError("lxcfs is not installed")
    with of_lxcfs.lxcfs() as serving:
        yield str(serving.node("proc/uptime"))


@contextmanager
def tmpfs() -> Iterator[str]:
    with TemporaryDirectory(prefix="eci-bench-", dir="/dev/shm") as directory:
        Path(directory, "uptime").write_text("1000.00 2000.00\n")
        yield f"{directory}/uptime"


@contextmanager
def native() -> Iterator[str]:
    yield "/proc/uptime"


def read_s(path: str) -> float:
    before = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 4096)
    os.close(fd)
    return time.perf_counter() - before


def burst(path: str) -> Sequence[float]:
    read_s(path)
    return [read_s(path) for _ in range(BURST)]


def paced(path: str) -> Sequence[float]:
    return every(PACE_S, PACED, path)


def late(path: str) -> Sequence[float]:
    return every(LIFE_S * 1.2, LATE, path)


def every(pause_s: float, count: int, path: str) -> Sequence[float]:
    taken = []
    for _ in range(count):
        time.sleep(pause_s)
        taken.append(read_s(path))
    return taken


def reading(opened: Opened, pattern: Callable[[str], Sequence[float]]) -> Callable[[], AbstractContextManager[Round]]:
    @contextmanager
    def side() -> Iterator[Round]:
        with opened() as path:
            yield lambda: pattern(path)

    return side


OURS = "virtual /proc/uptime"
BENCHES = (
    Bench("virtual node, within its life", Variant(OURS, reading(virtual, burst)), Variant("tmpfs", reading(tmpfs, burst)),
          (ratio(P50, 2),)),
    Bench("virtual node, native", Variant(OURS, reading(virtual, burst)), Variant("native procfs", reading(native, burst))),
    Bench("virtual node, 100 reads a second", Variant(OURS, reading(virtual, paced)), Variant("lxcfs", reading(lxcfs, paced)),
          (ratio(MEAN, 0.5),)),
    Bench("virtual node, first after its life", Variant(OURS, reading(virtual, late)), Variant("lxcfs", reading(lxcfs, late)),
          (ratio(P50, 1.5),)),
)
