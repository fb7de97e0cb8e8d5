"""A neighbour's trapped call while 64 threads of another container make calls as fast as they can: trapped ones, against untrapped ones.

A round has one value, the 99th percentile of the calls that the neighbour makes meanwhile.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.containers import Container, Playground, Recipe, playground
from bench.harness import P99, Bench, Round, Variant, ratio
from tests.support.bundle import bind
from tests.support.rootfs import PROGRAMS, compile_program
from tests.support.waiting import wait_until

THREADS: Final = "64"
SECONDS: Final = "0.7"
MOST_RATIO: Final = 3.0


def one_round(place: Playground, attacker: Container, neighbour: Container, call: str) -> list[float]:
    child, out, _ = place.ours.start("exec", attacker.id, "/x/flood", THREADS, call, SECONDS, name=f"{attacker.id}.flood")
    with child:
        wait_until(lambda: "begun" in out.read_text(), "the flood has begun")
        took = neighbour.exec("/x/flood", "pace", "continued", "600", "200").ok().out.split()
        child.wait()
    return [float(took[1]) * 1e-6]


@contextmanager
def under(call: str) -> Iterator[Round]:
    with playground() as place:
        (place.directory / "x").mkdir()
        compile_program(PROGRAMS / "flood.c", place.directory / "x/flood", "-O2")
        recipe = Recipe(mounts=(bind(place.directory / "x", "/x", "ro"),))
        attacker, neighbour = (place.container(place.ours, recipe).up() for _ in range(2))
        yield lambda: one_round(place, attacker, neighbour, call)


TRAPPED = Variant("64 threads, trapped", lambda: under("continued"))
UNTRAPPED = Variant("64 threads, untrapped", lambda: under("untrapped"))
BENCHES = (Bench("a neighbour's call in a flood", TRAPPED, UNTRAPPED, (ratio(P99, MOST_RATIO),), rounds=5),)
