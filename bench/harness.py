"""What a bench is: two sides measured in turn, and a goal for their ratio. See bench/README.md."""
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

Round: TypeAlias = Callable[[], Sequence[float]]  # what each operation took, in the bench's unit; at least one

MIB: Final = 1 << 20
ATTEMPTS: Final = 3
NOISE: Final = 1.05  # a goal is missed only beyond this multiple of it


class UnavailableError(Exception):
    """This machine lacks what a row needs. The message is for the table."""


class Unit(Enum):
    SECONDS = "s"
    BYTES = "bytes"


class Statistic(Enum):
    """Of the operations of one round."""

    P50 = "p50"
    P99 = "p99"
    MEAN = "mean"

    def of(self, values: Sequence[float]) -> float:
        match self:
            case Statistic.P50:
                return statistics.median(values)
            case Statistic.P99:
                return percentile(values, 99)
            case Statistic.MEAN:
                return statistics.fmean(values)


P50, P99, MEAN = Statistic.P50, Statistic.P99, Statistic.MEAN
SECONDS, BYTES = Unit.SECONDS, Unit.BYTES


class Measure(Enum):
    """What of ours and the reference a goal limits."""

    RATIO = "ratio"
    MORE = "more"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Goal:
    """`statistic` of ours, against the reference's as `measure` says, is at most `limit`."""

    measure: Measure
    statistic: Statistic
    limit: float


def ratio(statistic: Statistic, limit: float) -> Goal:
    """Ours is at most `limit` times the reference's."""
    return Goal(Measure.RATIO, statistic, limit)


def more(statistic: Statistic, limit: float) -> Goal:
    """Ours is at most the reference's and `limit`, in the bench's unit."""
    return Goal(Measure.MORE, statistic, limit)


def plain(statistic: Statistic, limit: float) -> Goal:
    """Ours is at most `limit`, in the bench's unit."""
    return Goal(Measure.PLAIN, statistic, limit)


@dataclass(frozen=True, slots=True)
class Variant:
    """One side. `opened` sets up, yields the function that does one round, and cleans up."""

    name: str
    opened: Callable[[], AbstractContextManager[Round]]


@dataclass(frozen=True, slots=True)
class Bench:
    """One row of the table."""

    name: str
    ours: Variant
    reference: Variant | None = None
    goals: tuple[Goal, ...] = ()  # none: shown for comparison
    rounds: int = 7
    unit: Unit = Unit.SECONDS

    def __post_init__(self) -> None:
        if self.reference is None and any(goal.measure is not Measure.PLAIN for goal in self.goals):
            raise ValueError(f"{self.name}: a goal against a reference, and no reference")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The rounds of one run of a bench: ours and the reference's in pairs."""

    ours: tuple[tuple[float, ...], ...]
    reference: tuple[tuple[float, ...], ...] = ()

    def value(self, measure: Measure, statistic: Statistic) -> float:
        """The median over the rounds, each round's pair compared for itself."""
        ours = [statistic.of(values) for values in self.ours]
        if measure is Measure.PLAIN:
            return statistics.median(ours)
        pairs = zip(ours, (statistic.of(values) for values in self.reference), strict=True)
        return statistics.median(a / b if measure is Measure.RATIO else a - b for a, b in pairs)

    def excess(self, goals: Sequence[Goal]) -> float:
        """How far beyond its worst goal this is: 1 is just there, less is better."""
        return max((self.value(goal.measure, goal.statistic) / goal.limit for goal in goals), default=0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """A bench's best attempt, or why there is none."""

    bench: Bench
    best: Attempt | None
    attempts: int
    unavailable: str = ""

    @property
    def held(self) -> bool:
        """Every goal held, or missed by no more than noise."""
        return self.best is not None and self.best.excess(self.bench.goals) <= NOISE


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` per cent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def attempt(bench: Bench) -> Attempt:
    """Opens both sides and has them take turns, each leading in every other round. One round of each is thrown away first."""
    with ExitStack() as stack:
        sides = [stack.enter_context(v.opened()) for v in (bench.ours, bench.reference) if v is not None]
        rounds: list[list[tuple[float, ...]]] = [[] for _ in sides]
        for side in sides:
            side()
        for number in range(bench.rounds):
            order = list(enumerate(sides))
            for index, side in order if number % 2 == 0 else reversed(order):
                rounds[index].append(tuple(side()))
    return Attempt(*(tuple(values) for values in rounds))


def measure(bench: Bench) -> Result:
    """The best of up to ATTEMPTS attempts; the first that holds every goal ends it."""
    attempts: list[Attempt] = []
    try:
        while len(attempts) < ATTEMPTS and not any(a.excess(bench.goals) <= 1 for a in attempts):
            attempts.append(attempt(bench))
    except UnavailableError as error:
        return Result(bench, None, len(attempts), str(error))
    return Result(bench, min(attempts, key=lambda a: a.excess(bench.goals)), len(attempts))
