"""eci: looking into containers under eci-runc, and whether this host can run them."""
import json
import sys
from typing import Any

import click

from eci_supervisor import VERSION
from eci_supervisor.control import choice, doctor, explain, follow, listing, policy_explain, render, report
from eci_supervisor.control.gateway import gateway
from eci_supervisor.control.options import Group, options, state_directory
from eci_supervisor.control.policy import policy
from eci_supervisor.control.policy_suggest import suggest
from eci_supervisor.life import record


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--state-dir", type=click.Path(), default=None, metavar="DIR", help="As with each command.")
@click.version_option(VERSION, prog_name="eci")
def main(state_dir: str | None) -> None:
    """Look into containers that run under eci-runc.

    An ID may be shortened as long as it is one container's alone. All commands need root.
    """
    del state_dir  # read from the context by state_directory()


@main.command()
@options
@click.pass_context
def ps(context: click.Context, state_dir: str | None, as_json: bool) -> None:
    """List containers: their state, mode, host ids and init.

    \b
    supervised    runs; its calls are vetted, its virtual nodes served
    unsupervised  runs behind the kernel's locks; trapped calls fail with ENOSYS, virtual nodes with ENOTCONN
    creating      is being made
    stopped       its init is gone; `delete` takes it away
    """
    rows = [listing.row(state) for state in record.load_all(state_directory(context, state_dir))]
    if as_json:
        click.echo(json.dumps([render.row_record(row) for row in rows], indent=1))
    else:
        render.console().print(render.rows_table(rows))


@main.command()
@click.argument("container", metavar="ID")
@options
@click.pass_context
def inspect(context: click.Context, container: str, state_dir: str | None, as_json: bool) -> None:
    """Show what is known of one container, on disk and from its supervisor.

    Its record, id range and lease, namespaces, supervisor and its memory, listeners and their counters, what covers its /proc and /sys,
    and the end of the supervisor's log.
    """
    directory = state_directory(context, state_dir)
    state = listing.the_one(record.load_all(directory), container)
    found = report.inspect(directory, state)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        render.print_report(render.console(), found)


@main.command()
@click.argument("container", metavar="[ID]", required=False)
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with events as they come, also of containers yet to be made.")
@options
@click.pass_context
def events(context: click.Context, container: str | None, follows: bool, state_dir: str | None, as_json: bool) -> None:
    """Show vetted calls and the turns of containers' lives: who, what, verdict, why, how long.

    A supervisor keeps the last thousand or so. Denials, emulations and failures of all containers, also of those that are gone, are in
    the audit file (/var/log/eci/audit.jsonl).
    """
    directory = state_directory(context, state_dir)
    console = render.console()

    def show(event: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(event))
        else:
            console.print(render.event_line(event), soft_wrap=True)

    if container is not None:
        container = listing.the_one(record.load_all(directory), container).key
    if follows:
        follow.follow(directory, container, show)
    else:
        for event in follow.present(directory, container):
            show(event)


@main.command("doctor")
@options
@click.pass_context
def doctor_(context: click.Context, state_dir: str | None, as_json: bool) -> None:
    """Say whether this host can run eci-runc, each line with what to do. Ends with 1 if it cannot."""
    findings = doctor.findings(state_directory(context, state_dir))
    if as_json:
        click.echo(json.dumps([render.finding_record(finding) for finding in findings], indent=1))
    else:
        render.console().print(render.findings_table(findings))
    if any(finding.level is doctor.Level.FAIL for finding in findings):
        sys.exit(1)


policy.add_command(policy_explain.explain)
policy.add_command(suggest)
main.add_command(gateway)
main.add_command(policy)
main.add_command(explain.explain)
for command in (choice.enable, choice.disable, choice.status):
    main.add_command(command)


if __name__ == "__main__":
    main()
