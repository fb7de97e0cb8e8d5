"""`eci explain`: a refusal by the id at the end of its sentence: what, why, which line of which file, how an admin may allow it."""
import json
from collections.abc import Iterator
from glob import glob
from typing import Any

import click

from eci_supervisor.control.options import options
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR
from eci_supervisor.observe.audit import NAME

HARD = "It cannot be allowed: no setting relaxes this."
ALLOW = {
    "namespace.shared": HARD + " Publish ports in place of the host's network, or use --pid=container:… of a container under eci-runc.",
    "mount.restricted": "The built-in list cannot be relaxed: bind another path. What eci.bindMounts.denied, readOnly or allowed refuse, "
                        "an admin may change there; a read-only path needs :ro.",
    "socket.image": "Add the image to enhancedContainerIsolation.dockerSocketMount.imageList.images; `eci policy explain IMAGE` says what "
                    "is known of it. An engine that listens elsewhere: name its socket in eci.dockerSocket.engine.",
    "socket.command": "Change the commandList: take the command from a deny list, or add it to an allow list.",
    "socket.engine": "Set eci.dockerSocket.builds or eci.dockerSocket.engineAdmin to true; and have the engine build under eci-runc, as "
                     "docs/docker-socket.md tells.",
    "socket.unknown": HARD + " The engine's API has no such endpoint that is known here.",
    "socket.body": HARD,
    "socket.request": HARD + " The request is not what a docker client sends. A body that is too large: eci.dockerSocket.maxBodyBytes.",
    "socket.gone": "No rule refuses it: the engine has not answered. See that it runs, and that eci.dockerSocket.engine is its socket.",
    "settings.invalid": "Mend the settings file: `eci policy check` says all that is wrong with it.",
    "create.refused": HARD,
}  # fmt: skip


@click.command()
@click.argument("event", metavar="ID")
@click.option("--audit-dir", type=click.Path(), default=DEFAULT_AUDIT_DIR, metavar="DIR", show_default=True,
              help="Where the runtime writes its audit file; as given to eci-runc.")
@options
def explain(event: str, audit_dir: str, state_dir: str | None, as_json: bool) -> None:
    """Explain a refusal: what was refused, why, by which line of which file, and how an admin may allow it.

    ID is what stands in brackets at the end of the sentence; the beginning of one is enough.
    """
    del state_dir
    wanted = event.strip("[]").lower()
    found = next((one for one in events(audit_dir) if str(one.get("id", "")).startswith(wanted)), None) if wanted else None
    if found is None:
        raise click.ClickException(f"no event {event} is in {audit_dir}/{NAME}, nor in the files before it: the oldest are removed")
    told = explained(found)
    if as_json:
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo("\n".join(f"{name:10} {value}" for name, value in told.items() if value))


def events(audit_dir: str) -> Iterator[dict[str, Any]]:
    """Of the audit file and those before it, the latest first."""
    path = f"{audit_dir}/{NAME}"
    for name in (path, *sorted(glob(f"{path}.*"))):
        try:
            with open(name, encoding="ascii", errors="replace") as file:
                lines = file.readlines()
        except FileNotFoundError:
            continue
        for line in reversed(lines):
            try:
                event = json.loads(line)
            except ValueError:  # torn by a crash
                continue
            if isinstance(event, dict):
                yield event


def explained(event: dict[str, Any]) -> dict[str, str]:
    args = event.get("args") or {}
    where = str(args.get("settings", ""))
    place = ":".join(part for part in (str(args.get("file", "")), str(args.get("line", ""))) if part) if where else ""
    code = str(event.get("rule", ""))
    return {
        "id": str(event.get("id", "")), "time": str(event.get("time", "")), "code": code, "container": str(event.get("container", "")),
        "what": f"{event.get('call', '')}: {event.get('verdict', '')}", "why": str(event.get("why", "")), "where": where, "file": place,
        "allow": ALLOW.get(code, "It is a rule on system calls: docs/policy.md has it by this name."),
    }  # fmt: skip
