"""`eci policy`: the admin's settings, checked, shown, compiled."""
import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.table import Table

from eci_supervisor.control import render
from eci_supervisor.control.options import options, state_directory
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR, DEFAULT_SETTINGS, StateDir
from eci_supervisor.model.settings import Policy
from eci_supervisor.observe.refusals import invalid_settings
from eci_supervisor.settings import store
from eci_supervisor.settings.check import checked
from eci_supervisor.settings.compile import compiled
from eci_supervisor.settings.document import Document
from eci_supervisor.settings.problem import Invalid, Problem
from eci_supervisor.settings.schema import json_schema

WITH_SETTINGS = click.option("--settings", type=click.Path(), default="", metavar="FILE",
                         help=f"As given to eci-runc. [default: {DEFAULT_SETTINGS}]")  # fmt: skip


@click.group()
def policy() -> None:
    """What containers may ask for: check, show and explain the settings.

    The file is Docker's admin-settings.json, with a section `eci` beside Docker's own. docs/settings.md has every field.
    """


@policy.command()
@click.argument("file", type=click.Path(), required=False)
@options
def check(file: str | None, state_dir: str | None, as_json: bool) -> None:
    """Say all that is wrong with FILE, or with the settings of this host. Ends with 1 if anything is.

    An error names the JSON path, the value and what would be right; warnings tell of what is no error, but perhaps not meant.
    """
    del state_dir
    path = store.settings_file(file or "")
    try:
        text, stamp = store.read(path)
        found = compiled(text, path, stamp) if text is not None else Policy(file=path)
    except Invalid as error:
        _say_problems(path, error.problems, as_json=as_json)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"file": path, "problems": [], "warnings": found.warnings}, indent=1))
        return
    for warning in found.warnings:
        click.echo(f"{path}: warning: {warning}")
    click.echo(f"{path}: {'nothing is wrong' if text is not None else 'there is no such file: defaults are in force'}")


def _say_problems(path: str, problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        told = [{"path": one.path, "value": one.value, "right": one.right, "line": one.line} for one in problems]
        click.echo(json.dumps({"file": path, "problems": told, "warnings": []}, indent=1))
        return
    for problem in problems:
        place = f"{path}:{problem.line}" if problem.line and not problem.path.startswith("line ") else path
        click.echo(f"{place}: {problem}")


@policy.command()
@WITH_SETTINGS
@options
@click.pass_context
def show(context: click.Context, settings: str, state_dir: str | None, as_json: bool) -> None:
    """Show every value in force, and where it comes from: a line of the file, or the default."""
    directory = state_directory(context, state_dir)
    file, found = store.settings_file(settings), in_force(directory, settings)
    source = directory.last_good_policy if found.problem else file
    text = store.read(source)[0] if found.exceptions else None
    document = Document(text if text is not None else store.NOTHING)
    rows = [(path, value, _source(document, path, source)) for path, value in effective(document)]
    if as_json:
        values = [{"path": path, "value": value, "source": where} for path, value, where in rows]
        click.echo(json.dumps({"file": file, "problem": found.problem, "warnings": found.warnings, "values": values}, indent=1))
        return
    if found.problem:
        click.echo(f"{found.problem}\n", err=True)
    table = Table("setting", "value", "from", box=None)
    for path, value, where in rows:
        table.add_row(path, json.dumps(value), where)
    render.console().print(table)


def effective(document: Document) -> Iterator[tuple[str, Any]]:
    """Each value of a checked file with its path; defaults for what it leaves out. Raises Invalid."""
    yield from _flat(checked(document).model_dump(mode="json", by_alias=True), "")


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 # JSON
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _flat(below, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for at, item in enumerate(value):
            yield from _flat(item, f"{path}[{at}]")
    else:
        yield path, value


def _source(document: Document, path: str, file: str) -> str:
    return f"{file}:{document.lines[path]}" if path in document.lines else "default"


@policy.command()
def schema() -> None:
    """Print the JSON Schema of the settings, for editors."""
    click.echo(json.dumps(json_schema(), indent=1))


@policy.command("compile")
@WITH_SETTINGS
@click.option("--audit-dir", type=click.Path(), default=DEFAULT_AUDIT_DIR, metavar="DIR", help="Where an invalid file is reported.")
@options
@click.pass_context
def compile_(context: click.Context, settings: str, audit_dir: str, state_dir: str | None, as_json: bool) -> None:
    """Put the settings in force now. A create does the same when the file has changed.

    Where the file has an error the last good policy stays; if there is none, containers that need an exception are refused.
    """
    directory = state_directory(context, state_dir)
    file = store.settings_file(settings)
    try:
        store.compile_now(directory, file, compiled)
    except Invalid as error:
        invalid_settings(audit_dir, file, error)
        _say_problems(file, error.problems, as_json=as_json)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"file": file, "problems": []}))


def in_force(directory: StateDir, settings: str, audit_dir: str = DEFAULT_AUDIT_DIR) -> Policy:
    """The policy in force, compiled anew where the file has changed. audit_dir: where it is said that a file is invalid."""
    return store.current(directory, store.settings_file(settings), audit_dir, _compile)


def _compile(directory: StateDir, file: str, audit_dir: str) -> None:
    try:
        store.compile_now(directory, file, compiled)
    except Invalid as error:
        invalid_settings(audit_dir, file, error)
