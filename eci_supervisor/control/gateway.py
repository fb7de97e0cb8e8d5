"""`eci gateway`: the relay put before an engine."""
import sys

import click

from eci_supervisor.control.options import state_directory
from eci_supervisor.control.policy import WITH_SETTINGS
from eci_supervisor.docker.gateway import SCHEME, Address, CannotListen, serve
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR, DEFAULT_STATE_DIR
from eci_supervisor.settings import store


@click.command()
@click.option("--listen", default=f"{SCHEME}{DEFAULT_STATE_DIR}/docker.sock", show_default=True, metavar="ADDRESS",
              help="Where users connect: set DOCKER_HOST to it.")  # fmt: skip
@click.option("--group", default="", metavar="NAME", help="Who may connect besides root: the socket is 0660 with this group.")
@click.option("--engine", type=click.Path(), default="", metavar="SOCKET", help="The engine's socket. [default: the settings']")
@click.option("--audit-dir", type=click.Path(), default=DEFAULT_AUDIT_DIR, show_default=True, metavar="DIR",
              help="Where requests are recorded.")  # fmt: skip
@click.option("--state-dir", type=click.Path(), default=None, metavar="DIR", help="As with each command.")
@WITH_SETTINGS
@click.pass_context
def gateway(context: click.Context, listen: str, group: str, engine: str, audit_dir: str, state_dir: str | None, settings: str) -> None:
    """Serve a Docker socket behind which every container runs under eci-runc.

    For users who should not reach the engine itself. --runtime is ignored, the host's namespaces and plugins are closed, the command list
    of the settings holds, and changes of the settings hold from the next request. docs/docker-socket.md tells what passes.
    """
    directory, file = state_directory(context, state_dir), store.settings_file(settings)
    try:
        serve(Address.parse(listen, group), engine, lambda: store.current(directory, file), audit_dir)
    except CannotListen as error:
        click.echo(f"eci: gateway: {error}", err=True)
        sys.exit(1)

