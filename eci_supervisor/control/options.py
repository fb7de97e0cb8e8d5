"""What all commands of `eci` have in common: their options, and how an error is said."""
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from eci_supervisor.control.listing import NotOne
from eci_supervisor.linux.paths import DEFAULT_STATE_DIR, StateDir

F = TypeVar("F", bound=Callable[..., Any])


class Group(click.Group):
    """Says an error of ours as one line, and ends as other programs do where the reader of a pipe has gone."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 # click's own signature
        try:
            return super().main(*args, **kwargs)
        except (NotOne, PermissionError) as error:
            click.echo(f"eci: {error}", err=True)
            sys.exit(1)
        except BrokenPipeError:
            sys.exit(141)


def options(command: F) -> F:
    """--state-dir and --json, which every command takes."""
    with_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs; events are one a line.")
    with_dir = click.option("--state-dir", type=click.Path(), default=None, metavar="DIR",
                            help=f"Where the runtime keeps its containers; as given to eci-runc. [default: {DEFAULT_STATE_DIR}]")
    return with_json(with_dir(command))


def state_directory(context: click.Context, own: str | None) -> StateDir:
    """The command's own --state-dir, else that given before the command."""
    return StateDir(own or context.find_root().params.get("state_dir") or DEFAULT_STATE_DIR)
