"""What readers cost the supervisor: a hundred in a loop, none at all, and `top` in many containers. Shares of one processor."""
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.containers import PROGRAMS, Playground, Recipe, playground
from bench.harness import P50, Bench, Round, UnavailableError, Variant, plain
from bench.processor import share, with_children
from tests.support import host
from tests.support.lxcfs import lxcfs
from tests.support.rootfs import compile_program
from tests.support.view import served

READERS: Final = 100
SECONDS: Final = 2
IDLE: Final = 20
IDLE_GOAL: Final = 200
IDLE_SECONDS: Final = 5
SETTLED_S: Final = 33  # until then a supervisor gives back memory, some milliseconds in all
TOPS: Final = 50
TOP_SECONDS: Final = 10
TOP: Final = "exec busybox top -b -d 1 >/dev/null"
OVERLAID: Final = "meminfo stat uptime loadavg swaps diskstats cpuinfo"
OVER: Final = f'mount -t proc proc /proc; for name in {OVERLAID}; do mount --bind "$0/$name" /proc/$name; done; {TOP}'


@contextmanager
def hundred_readers() -> Iterator[Round]:
    """Of /proc/meminfo, which changes with every sample."""
    with TemporaryDirectory(prefix="eci-bench-") as name, served(Path(name)) as view, subprocess.Popen(["sleep", "3600"]) as init:
        program = compile_program(PROGRAMS / "readers.c", Path(name, "readers"))
        view.ask(f"attach {init.pid}")
        command = [str(program), str(READERS), str(SECONDS), str(view.proc("meminfo"))]
        try:
            yield lambda: [share([view.process.pid], lambda: subprocess.run(command, check=True))]
        finally:
            init.kill()


def ours(place: Playground, number: int, recipe: Recipe | None = None) -> list[int]:
    """The supervisors of so many new containers, their mounters, and the fork server."""
    pids = [place.container(place.ours, recipe).up().record().supervisor_pid for _ in range(number)]
    server = host.listener_of(place.ours.state_dir / "fork.sock")
    return list(dict.fromkeys(with_children([*pids, *([server] if server else [])])))


@contextmanager
def idle_containers() -> Iterator[Round]:
    """Scaled up: what 200 would cost if 20 cost this."""
    with playground() as place:
        pids = ours(place, IDLE)
        time.sleep(SETTLED_S)
        yield lambda: [share(pids, lambda: time.sleep(IDLE_SECONDS)) * IDLE_GOAL / IDLE]


@contextmanager
def tops() -> Iterator[Round]:
    """`top -b` is each container's init, with a picture a second."""
    with playground() as place:
        pids = ours(place, TOPS, Recipe(args=("sh", "-c", TOP)))
        yield lambda: [share(pids, lambda: time.sleep(TOP_SECONDS))]


@contextmanager
def tops_on_lxcfs() -> Iterator[Round]:
    """The same beside the init of a container of runc's, each with a procfs of its pid namespace and lxcfs' files over it."""
    if shutil.which("lxcfs") is None:
        raise UnavailableError("lxcfs is not installed")
    with lxcfs("--enable-cfs", "-l") as serving, ExitStack() as stack, playground() as place:
        for _ in range(TOPS):
            init = place.container(place.plain).up().pid
            words = serving.command(init, "unshare", "--mount", "sh", "-ec", OVER, f"{serving.mountpoint}/proc")
            stack.callback(subprocess.Popen(words).wait)  # it ends with its pid namespace
        yield lambda: [share([serving.pid], lambda: time.sleep(TOP_SECONDS))]


BENCHES = (
    Bench("a hundred readers in a loop", Variant("processor seconds a second", hundred_readers), goals=(plain(P50, 0.05),), rounds=3),
    Bench("200 idle containers", Variant("processor seconds a second, all of ours", idle_containers), goals=(plain(P50, 0.01),), rounds=1),
    Bench(f"top -b in {TOPS} containers", Variant("processor seconds a second, all of ours", tops), Variant("lxcfs", tops_on_lxcfs),
          rounds=1),
)
