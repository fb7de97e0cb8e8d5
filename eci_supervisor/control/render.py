"""What `eci` prints. Pure but for the console: records in, rich's objects out. What a container chose is text, never markup."""
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eci_supervisor.control.doctor import Finding, Level
from eci_supervisor.control.listing import SHORT, Row, Status, duration

STATUS_STYLES: Mapping[Status, str] = {
    Status.SUPERVISED: "green", Status.UNSUPERVISED: "bold red", Status.CREATING: "yellow", Status.STOPPED: "dim"}
VERDICT_STYLES: Mapping[object, str] = {"deny": "yellow", "emulate": "cyan", "fail": "bold red", "info": "blue"}
LEVEL_STYLES: Mapping[Level, str] = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
UNBOUNDED = 1000  # columns where nobody sees them: a program reads, and lines must not be broken


def console() -> Console:
    """Colours and line breaks on a terminal only."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=UNBOUNDED, no_color=True)


def row_record(row: Row) -> dict[str, object]:
    """A line of `eci ps --json`."""
    state = row.state
    return {"id": state.id, "root": state.root, "key": state.key, "status": row.status.value, "mode": state.mode.value,
            "ids": {"start": state.ids.start, "count": state.ids.count}, "init_pid": state.init_pid, "supervisor_pid": state.supervisor_pid,
            "created": state.created, "up_s": row.up_s}


def rows_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("ID", "STATUS", "MODE", "HOST IDS", "INIT", "UP"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        ids = row.state.ids
        table.add_row(Text(printable(row.state.id[:SHORT])), Text(row.status.value, STATUS_STYLES[row.status]), row.state.mode.value,
                      f"{ids.start}-{ids.end - 1}", str(row.state.init_pid or "-"), "-" if row.up_s is None else duration(row.up_s))
    return table


def print_report(out: Console, found: Mapping[str, object]) -> None:
    """`eci inspect`: nested keys indented, lists one item a line where they are long."""
    for key, value in found.items():
        _print_value(out, key, value, 0)


def _print_value(out: Console, key: str, value: object, depth: int) -> None:
    head = Text("  " * depth + key, "bold" if depth == 0 else "")
    if isinstance(value, Mapping) and value:
        out.print(head)
        for inner, content in value.items():
            _print_value(out, str(inner), content, depth + 1)
    elif isinstance(value, list | tuple) and value:
        flat = all(isinstance(item, str | int) for item in value)
        if flat and sum(len(str(item)) for item in value) <= 80:
            out.print(head + Text("  " + ", ".join(printable(str(item)) for item in value)), soft_wrap=True)
            return
        out.print(head)
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                _print_value(out, str(item.get("of", index)), {k: v for k, v in item.items() if k != "of"}, depth + 1)
            else:
                out.print(Text("  " * (depth + 1) + printable(str(item))), soft_wrap=True)
    else:
        shown = "-" if value in (None, "", [], (), {}) else printable(str(value))
        out.print(head + Text("  " + shown, "" if depth else "bold"), soft_wrap=True)


def event_line(event: Mapping[str, object]) -> Text:
    """One line: time, container, call, verdict, who, arguments, why, id."""
    arguments = event.get("args")
    shown = " ".join(f"{key}={value}" for key, value in arguments.items()) if isinstance(arguments, Mapping) else ""
    verdict = str(event.get("verdict"))
    errno = event.get("errno")
    at = time.strftime("%H:%M:%S", time.localtime(_number(event.get("time"))))
    line = Text(f"{at} {printable(str(event.get('container'))[:SHORT])} ")
    line.append(f"{event.get('call')} ", "bold")
    line.append(f"{verdict}{f' {errno}' if errno else ''}", VERDICT_STYLES.get(verdict, ""))
    uid = event.get("uid")
    who = f" pid {event.get('pid')}" + ("" if uid is None else f" uid {uid}") if event.get("pid") else ""
    took = f" {_number(event.get('duration_us')):.0f}us" if event.get("duration_us") else ""
    line.append(printable(f"{who}{took} {shown}: {event.get('why')} [{event.get('id')}]"))
    return line


def finding_record(finding: Finding) -> dict[str, object]:
    return {"level": finding.level.value, "what": finding.what, "found": finding.found, "advice": finding.advice}


def findings_table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        said = Text(printable(finding.found))
        if finding.advice:
            said.append(f"\n{printable(finding.advice)}", "italic")
        table.add_row(Text(finding.level.value, LEVEL_STYLES[finding.level]), finding.what, said)
    return table


def printable(text: str) -> str:
    """`text` with everything that a terminal could act on escaped."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
