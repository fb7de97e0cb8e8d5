"""The harness of bench/: its statistics, how it takes turns and repeats, and what it reports."""
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from rich.console import Console

from bench.harness import (
    ATTEMPTS,
    BYTES,
    MEAN,
    MIB,
    P50,
    P99,
    SECONDS,
    Attempt,
    Bench,
    Goal,
    Measure,
    Result,
    Round,
    UnavailableError,
    Variant,
    attempt,
    measure,
    more,
    percentile,
    plain,
    ratio,
)
from bench.report import amount, as_json, document, limit, machine, table
from bench.rows import benches


class Side:
    """A variant that replays `rounds`, over and over, and writes down what was called."""

    def __init__(self, log: list[str], name: str, *rounds: Sequence[float]) -> None:
        self.log, self.name, self.rounds, self.calls = log, name, rounds, 0

    def round(self) -> Sequence[float]:
        self.log.append(self.name)
        self.calls += 1
        return self.rounds[(self.calls - 1) % len(self.rounds)]

    @contextmanager
    def opened(self) -> Iterator[Round]:
        self.log.append(f"open {self.name}")
        yield self.round
        self.log.append(f"close {self.name}")

    def variant(self) -> Variant:
        return Variant(self.name, self.opened)


def bench(ours: Side, reference: Side | None, *goals: Goal, rounds: int = 2) -> Bench:
    return Bench("row", ours.variant(), reference.variant() if reference else None, goals, rounds)


@pytest.mark.parametrize(("percent", "expected"), [(99, 99), (50, 50), (1, 1), (100, 100)])
def test_percentile(percent: int, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_percentile_of_one() -> None:
    assert percentile([7.0], 99) == 7.0


def test_ratio_is_the_median_of_each_pairs_ratio() -> None:
    """The machine became ten times slower in the third round: both sides did."""
    run = Attempt(ours=((1.1,), (1.2,), (13.0,)), reference=((1.0,), (1.0,), (10.0,)))
    assert run.value(Measure.RATIO, P50) == pytest.approx(1.2)
    assert run.value(Measure.MORE, P50) == pytest.approx(0.2)
    assert run.value(Measure.PLAIN, MEAN) == pytest.approx(1.2)


def test_excess_is_the_worst_goals() -> None:
    run = Attempt(ours=((2.0,),), reference=((1.0,),))
    assert run.excess((ratio(P50, 4), more(P50, 0.5))) == 2.0
    assert run.excess(()) == 0.0


def test_sides_take_turns_and_lead_by_turns() -> None:
    log: list[str] = []
    attempt(bench(Side(log, "a", [1.0]), Side(log, "b", [1.0])))
    assert log == ["open a", "open b", "a", "b", "a", "b", "b", "a", "close b", "close a"]


def test_held_goal_is_measured_once() -> None:
    result = measure(bench(Side([], "a", [1.0]), Side([], "b", [1.0]), ratio(P50, 1.1)))
    assert (result.attempts, result.held) == (1, True)


def test_missed_goal_is_measured_again_and_the_best_counts() -> None:
    slow_at_first = Side([], "a", *([[3.0]] * 3), *([[1.0]] * 3))
    result = measure(bench(slow_at_first, Side([], "b", [1.0]), ratio(P50, 1.1)))
    assert (result.attempts, result.held) == (2, True)


def test_clear_miss() -> None:
    result = measure(bench(Side([], "a", [2.0]), Side([], "b", [1.0]), ratio(P50, 1.1)))
    assert (result.attempts, result.held) == (ATTEMPTS, False)


def test_miss_within_noise_is_held() -> None:
    result = measure(bench(Side([], "a", [1.12]), Side([], "b", [1.0]), ratio(P50, 1.1)))
    assert (result.attempts, result.held) == (ATTEMPTS, True)


def refusing() -> AbstractContextManager[Round]:
    raise UnavailableError("no such program")


def test_row_that_cannot_be_measured_is_not_held() -> None:
    log: list[str] = []
    result = measure(Bench("row", Side(log, "a", [1.0]).variant(), Variant("b", refusing), (ratio(P50, 1),)))
    assert (result.held, result.unavailable) == (False, "no such program")
    assert as_json(result)["unavailable"] == "no such program"


def test_goal_against_nothing() -> None:
    with pytest.raises(ValueError, match="no reference"):
        bench(Side([], "a", [1.0]), None, ratio(P50, 1))


@pytest.mark.parametrize(("value", "unit", "expected"), [
    (2.5, SECONDS, "2.5 s"), (0.0031, SECONDS, "3.1 ms"), (6.9e-6, SECONDS, "6.9 µs"), (95e-9, SECONDS, "95 ns"), (0.0, SECONDS, "0 ns"),
    (5.5 * MIB, BYTES, "5.50 MiB"),
])
def test_amount(value: float, unit: object, expected: str) -> None:
    assert amount(value, unit) == expected  # type: ignore[arg-type] # a member of Unit, which parametrize hides


@pytest.mark.parametrize(("goal", "expected"), [
    (ratio(P99, 3), "p99 ≤ 3 x"), (more(P50, 0.003), "p50 ≤ + 3 ms"), (plain(P50, 0.1), "p50 ≤ 100 ms"),
])
def test_limit(goal: Goal, expected: str) -> None:
    assert limit(goal, SECONDS) == expected


def test_table_has_a_line_a_goal() -> None:
    results = [
        measure(bench(Side([], "a", [1.0]), Side([], "b", [2.0]), ratio(P50, 1.1), more(P50, 0.5))),
        measure(bench(Side([], "a", [3.0]), Side([], "b", [1.0]), ratio(P50, 1.1))),
        measure(bench(Side([], "a", [1.0]), Side([], "b", [4.0]))),
        Result(bench(Side([], "a", [1.0]), None), None, 1, "no lxcfs"),
    ]
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table(results))
    text = captured.get()
    for expected in ("0.50 x", "- 1 s", "3.00 x", "missed", "held", "for comparison", "0.25 x", "not measured: no lxcfs"):
        assert expected in text


def test_document_is_json_and_names_no_machine() -> None:
    result = measure(bench(Side([], "a", [1.0, 3.0]), Side([], "b", [2.0]), ratio(P50, 1.1)))
    read = json.loads(json.dumps(document([result])))
    assert read["rows"][0]["ratios"] == {"p50": 1.0, "p99": 1.5, "mean": 1.0}
    assert read["rows"][0]["goals"] == [{"measure": "ratio", "statistic": "p50", "limit": 1.1, "is": 1.0}]
    assert set(machine()) == {"kernel", "architecture", "cpus", "cpu", "virtual", "memory_bytes", "python"}


def test_rows_have_names_of_their_own() -> None:
    names = [row.name for row in benches()]
    assert len(names) == len(set(names))
