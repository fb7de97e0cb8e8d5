"""Refusals as audit events. Each has an id, which stands at the end of the sentence that a user sees; `eci explain` finds it again."""
import os
import time

from eci_supervisor.model.event import Event
from eci_supervisor.observe.audit import AuditFile
from eci_supervisor.settings.problem import Invalid


def refusal(container: str, root: str, command: str, sentence: str, code: str, where: dict[str, str], verdict: str = "deny") -> Event:
    """An event of ours about a create. where: `settings`, the JSON path that refuses; `file` and `line`, if it stands in one."""
    return Event(id=os.urandom(8).hex(), time=time.time(), container=container, root=root, pid=os.getpid(), tid=os.getpid(), uid=0,
                 call=command, abi="", args=where, verdict=verdict, errno=1 if verdict == "deny" else 0, rule=code, why=sentence)


def write(audit_dir: str, event: Event) -> str:
    """The event's id; "" where it could not be written, so that nobody is sent looking for it."""
    audit = AuditFile(audit_dir)
    try:
        return event.id if audit.write(event) else ""
    finally:
        audit.close()


def invalid_settings(audit_dir: str, file: str, error: Invalid) -> str:
    """Says loudly that a settings file is not taken; the id."""
    where = {"file": file, "line": str(error.problems[0].line), "settings": error.problems[0].path}
    return write(audit_dir, refusal("", "", "settings", f"{file}: {error}", "settings.invalid", where, verdict="fail"))
