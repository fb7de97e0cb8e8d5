"""`eci gateway`: the relay put before an engine."""
import sys

import click

from eci_supervisor.control.choice import chosen
from eci_supervisor.control.options import state_directory
from eci_supervisor.control.policy import WITH_SETTINGS, in_force
from eci_supervisor.docker.gateway import SCHEME, Address, CannotListen, serve
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR, DEFAULT_STATE_DIR
from eci_supervisor.model.settings import Policy
from eci_supervisor.settings.choice import effective


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

    For users who should not reach the engine itself. --runtime is ignored where isolation is on (`eci status`), the host's namespaces and
    plugins are closed, the command list of the settings holds, and changes of the settings hold from the next request.
    docs/docker-socket.md tells what passes.
    """
    directory = state_directory(context, state_dir)

    def now() -> tuple[Policy, bool]:
        policy = in_force(directory, settings, audit_dir)
        return policy, effective(policy, chosen(directory)).enabled

    policy, forced = now()
    if not forced:
        source = effective(policy, chosen(directory)).source
        click.echo(f"eci: gateway: isolation is off by {source}: users name the runtime; `eci enable`, or "
                   "enhancedContainerIsolation.value in the settings, forces eci-runc", err=True)  # fmt: skip
    try:
        serve(Address.parse(listen, group), engine, now, directory, audit_dir)
    except CannotListen as error:
        click.echo(f"eci: gateway: {error}", err=True)
        sys.exit(1)

