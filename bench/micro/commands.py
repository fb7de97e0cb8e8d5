"""Commands of the runtime, each a process: through eci-runc and by runc itself."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from bench.containers import Container, Playground, Runtime, playground, timed
from bench.harness import P50, Bench, Round, Variant, more

REPEATS: Final = 10
ALLOWED_S: Final = 0.003  # design section 9: what passing on may add

Pick = Callable[[Playground], Runtime]


def ours(place: Playground) -> Runtime:
    return place.ours


def plain(place: Playground) -> Runtime:
    return place.plain


def passed_on(pick: Pick, *words: str) -> Callable[[], AbstractContextManager[Round]]:
    """A command that changes nothing, on a running container made by the same runtime; the id follows the first word."""

    @contextmanager
    def opened() -> Iterator[Round]:
        with playground() as place:
            runtime = pick(place)
            container = place.container(runtime).up()
            command = (words[0], container.id, *words[1:])
            yield lambda: [timed(runtime, *command) for _ in range(REPEATS)]

    return opened


def once(pick: Pick, prepare: Callable[[Container], object], *words: str) -> Callable[[], AbstractContextManager[Round]]:
    """A command that a container sees once in its life: each round has a container of its own, prepared before the clock runs."""

    @contextmanager
    def opened() -> Iterator[Round]:
        with playground() as place:

            def round_() -> list[float]:
                container = place.container(pick(place))
                prepare(container)
                took_s = timed(container.runtime, *words, container.id)
                place.discard(container)
                return [took_s]

            yield round_

    return opened


def created(container: Container) -> None:
    container.create().ok()


def stopped(container: Container) -> None:
    container.up()
    container.kill().ok()
    container.wait_stopped()


def row(name: str, side: Callable[[Pick], Callable[[], AbstractContextManager[Round]]], *, held: bool = True, rounds: int = 7) -> Bench:
    goals = (more(P50, ALLOWED_S),) if held else ()
    return Bench(name, Variant("eci-runc", side(ours)), Variant("runc", side(plain)), goals, rounds)


BENCHES = (
    row("state", lambda pick: passed_on(pick, "state")),
    row("kill", lambda pick: passed_on(pick, "kill", "CONT")),
    row("start", lambda pick: once(pick, created, "start"), rounds=15),
    row("delete", lambda pick: once(pick, stopped, "delete"), rounds=15),
    row("exec true", lambda pick: passed_on(pick, "exec", "true"), held=False),
)
