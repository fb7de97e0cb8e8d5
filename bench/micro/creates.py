"""Making containers with bundles, no engine: one create, and fifty at once. No goal of their own: `docker run` has it."""
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from bench.containers import playground
from bench.harness import Bench, Round, Variant
from bench.micro.commands import Pick, ours, plain

MANY: Final = 50


def creates(pick: Pick, count: int) -> Callable[[], AbstractContextManager[Round]]:
    """`count` creates started at once; a round takes until the last has ended."""

    @contextmanager
    def opened() -> Iterator[Round]:
        with playground() as place:

            def round_() -> list[float]:
                made = [place.container(pick(place)) for _ in range(count)]
                before = time.perf_counter()
                words = [("create", f"--bundle={container.bundle}", container.id) for container in made]
                started = [container.runtime.start(*w, name=container.id)[0] for container, w in zip(made, words, strict=True)]
                statuses = [child.wait() for child in started]
                took_s = time.perf_counter() - before
                for container in made:
                    place.discard(container)
                if any(statuses):
                    raise RuntimeError(f"{sum(map(bool, statuses))} of {count} creates failed")
                return [took_s]

            yield round_

    return opened


BENCHES = (
    Bench("one create", Variant("eci-runc", creates(ours, 1)), Variant("runc", creates(plain, 1)), rounds=15),
    Bench("fifty creates at once", Variant("eci-runc", creates(ours, MANY)), Variant("runc", creates(plain, MANY)), rounds=2),
)
