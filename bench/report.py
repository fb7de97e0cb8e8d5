"""Results as a table and as JSON. Ratios first: absolute times mean nothing beyond one run."""
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.harness import MEAN, MIB, P50, P99, Attempt, Goal, Measure, Result, Unit

FORMAT_VERSION: Final = 1
STATISTICS: Final = (P50, P99, MEAN)
SCALES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns"))


def amount(value: float, unit: Unit) -> str:
    """Three digits and a unit that suits them."""
    if unit is Unit.BYTES:
        return f"{value / MIB:.2f} MiB"
    least, name = next((least, name) for least, name in SCALES if abs(value) >= least)
    return f"{value / (least or 1e-9):.3g} {name}"


def limit(goal: Goal, unit: Unit) -> str:
    match goal.measure:
        case Measure.RATIO:
            return f"{goal.statistic.value} ≤ {goal.limit:g} x"
        case Measure.MORE:
            return f"{goal.statistic.value} ≤ + {amount(goal.limit, unit)}"
        case Measure.PLAIN:
            return f"{goal.statistic.value} ≤ {amount(goal.limit, unit)}"


def reached(goal: Goal, best: Attempt, unit: Unit) -> str:
    value = best.value(goal.measure, goal.statistic)
    match goal.measure:
        case Measure.RATIO:
            return f"{value:.2f} x"
        case Measure.MORE:
            return f"{'+' if value >= 0 else '-'} {amount(abs(value), unit)}"
        case Measure.PLAIN:
            return amount(value, unit)


def judgement(result: Result) -> str:
    if result.best is None:
        return f"[red]not measured: {result.unavailable}"
    if not result.bench.goals:
        return "[dim]for comparison"
    if not result.held:
        return "[red]missed"
    return "[green]held" if result.best.excess(result.bench.goals) <= 1 else "[yellow]within noise"


def table(results: Sequence[Result]) -> Table:
    """One line a goal; a row without goals shows its medians' ratio."""
    columns = ("row", "ours p50", "p99", "reference p50", "p99", "is", "goal", "")
    whole = Table(*columns, title="Ours against the reference, medians of interleaved rounds")
    for result in results:
        best, unit = result.best, result.bench.unit
        cells = [result.bench.name, "", "", "", ""]
        if best is not None:
            cells[1:3] = [amount(best.value(Measure.PLAIN, s), unit) for s in (P50, P99)]
            if best.reference:
                cells[3:5] = [amount(Attempt(best.reference).value(Measure.PLAIN, s), unit) for s in (P50, P99)]
        shown = result.bench.goals or ((Goal(Measure.RATIO, P50, float("inf")),) if result.bench.reference else ())
        what = [reached(goal, best, unit) for goal in shown] if best is not None else []
        goals = [limit(goal, unit) for goal in result.bench.goals]
        whole.add_row(*cells, "\n".join(what), "\n".join(goals), judgement(result))
    return whole


def as_json(result: Result) -> dict[str, object]:
    bench, best = result.bench, result.best
    row: dict[str, object] = {"row": bench.name, "unit": bench.unit.value, "ours": bench.ours.name}
    row |= {"attempts": result.attempts, "held": result.held}
    if bench.reference is not None:
        row["reference"] = bench.reference.name
    if best is None:
        return row | {"unavailable": result.unavailable}
    sides = {"ours": best} | ({"reference": Attempt(best.reference)} if best.reference else {})
    row["values"] = {name: {s.value: side.value(Measure.PLAIN, s) for s in STATISTICS} for name, side in sides.items()}
    if best.reference:
        row["ratios"] = {s.value: best.value(Measure.RATIO, s) for s in STATISTICS}
        row["p50_ratio_of_each_round"] = [P50.of(a) / P50.of(b) for a, b in zip(best.ours, best.reference, strict=True)]
    row["goals"] = [
        {"measure": g.measure.value, "statistic": g.statistic.value, "limit": g.limit, "is": best.value(g.measure, g.statistic)}
        for g in bench.goals
    ]
    return row


def machine() -> dict[str, object]:
    """What a reader needs to know of the machine, and no name of it."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(":")[2].strip() for line in facts if line.startswith("model name")}
    return {
        "kernel": platform.release().split("-")[0],
        "architecture": platform.machine(),
        "cpus": sum(line.startswith("processor") for line in facts),
        "cpu": ", ".join(sorted(models)),
        "virtual": any(line.startswith("flags") and " hypervisor" in line for line in facts),
        "memory_bytes": int(Path("/proc/meminfo").read_text().split()[1]) * 1024,
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit measured, with a mark when files differ from it; empty outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def document(results: Sequence[Result], before: Mapping[str, Any] | None = None) -> dict[str, object]:
    """The JSON result, each row with its date and commit; rows of `before` that were not measured again stay. Times are seconds."""
    stamp = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
    fresh = {result.bench.name: {**as_json(result), **stamp} for result in results}
    old = {} if before is None else {row["row"]: {"date": before["date"], "commit": before["commit"], **row} for row in before["rows"]}
    return {"version": FORMAT_VERSION, **stamp, "machine": machine(), "rows": list({**old, **fresh}.values())}


def show(results: Sequence[Result], console: Console) -> None:
    console.print(table(results))
    repeated = [result.bench.name for result in results if result.attempts > 1]
    if repeated:
        console.print(f"Measured more than once, the best attempt counts: {', '.join(repeated)}.")
