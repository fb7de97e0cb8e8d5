"""`eci enable`, `eci disable`, `eci status`: the user's choice where the admin leaves one, and what is in force."""
import json
import os

import click

from eci_supervisor.control.options import options, state_directory
from eci_supervisor.control.policy import WITH_SETTINGS, in_force
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.settings.choice import choice_from_bytes, choice_to_bytes, effective


def chosen(directory: StateDir) -> bool | None:
    """The user's choice; None where there is none."""
    try:
        with open(directory.choice, "rb") as file:
            return choice_from_bytes(file.read())
    except FileNotFoundError:
        return None


def choose(directory: StateDir, settings: str, *, enabled: bool) -> None:
    policy = in_force(directory, settings)
    if policy.locked:
        line = policy.lines.get("enhancedContainerIsolation.locked", 0)
        raise click.ClickException(f"{policy.file}:{line}: enhancedContainerIsolation.locked is true: only an admin can change it, there")
    os.makedirs(directory.lasting, 0o700, exist_ok=True)
    fresh = f"{directory.choice}.{os.getpid()}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(choice_to_bytes(enabled))
    os.rename(fresh, directory.choice)


@click.command()
@WITH_SETTINGS
@options
@click.pass_context
def enable(context: click.Context, settings: str, state_dir: str | None, as_json: bool) -> None:
    """Have the gateway force eci-runc, unless the settings are locked."""
    directory = state_directory(context, state_dir)
    choose(directory, settings, enabled=True)
    _say(directory, settings, as_json=as_json)


@click.command()
@WITH_SETTINGS
@options
@click.pass_context
def disable(context: click.Context, settings: str, state_dir: str | None, as_json: bool) -> None:
    """Have the gateway leave the runtime to its users, unless the settings are locked.

    What eci-runc is given stays isolated all the same.
    """
    directory = state_directory(context, state_dir)
    choose(directory, settings, enabled=False)
    _say(directory, settings, as_json=as_json)


@click.command()
@WITH_SETTINGS
@options
@click.pass_context
def status(context: click.Context, settings: str, state_dir: str | None, as_json: bool) -> None:
    """Show whether isolation is forced, by whom, and whether the settings are in order."""
    _say(state_directory(context, state_dir), settings, as_json=as_json)


def _say(directory: StateDir, settings: str, *, as_json: bool) -> None:
    policy = in_force(directory, settings)
    found = effective(policy, chosen(directory))
    told = {"enabled": found.enabled, "source": found.source, "locked": policy.locked, "mode": policy.mode or "as the runtime is called",
            "socket images": len(policy.socket.entries), "learning": policy.learn, "file": policy.file, "problem": policy.problem}
    if as_json:
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo("\n".join(f"{name:14} {_word(value)}" for name, value in told.items() if value != ""))


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
