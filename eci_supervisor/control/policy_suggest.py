"""`eci policy suggest`: the settings that learn mode has found to be needed."""
import json

import click

from eci_supervisor.control.explain import events
from eci_supervisor.control.policy import WITH_SETTINGS
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR
from eci_supervisor.settings import store
from eci_supervisor.settings.document import Document
from eci_supervisor.settings.suggest import Seen, suggested


@click.command()
@click.option("--audit-dir", type=click.Path(), default=DEFAULT_AUDIT_DIR, metavar="DIR", show_default=True,
              help="Where the runtime writes its audit file; as given to eci-runc.")  # fmt: skip
@WITH_SETTINGS
def suggest(audit_dir: str, settings: str) -> None:
    """Print the admin-settings.json that would allow exactly what learn mode has let pass.

    \b
    1. Set eci.audit.mode to "learn", with the lists as strict as they are meant to be.
    2. Let the work run: what only a list refuses passes, and is recorded.
    3. eci policy suggest > suggested.json; read it, then put it in place. It enforces again.
    """
    text, _ = store.read(store.settings_file(settings))
    document = Document(text).value if text is not None else {}
    seen = [found for event in events(audit_dir) if (found := Seen.of(event)) is not None]
    click.echo(json.dumps(suggested(document if isinstance(document, dict) else {}, reversed(seen)), indent=2))
    click.echo(f"{len(set(seen))} things were seen" if seen else "learn mode has seen nothing yet", err=True)
