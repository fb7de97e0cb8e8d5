"""A refusal at create, told to the audit file; its id ends the sentence that the user sees."""
import os

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import DEFAULTS, Policy
from eci_supervisor.observe import refusals
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.refusal import PolicyRefused, StageRefused
from eci_supervisor.oci.refusals import Refused
from eci_supervisor.oci.report import one_line
from eci_supervisor.settings.store import loaded, settings_file

SHARED = "eci-runc containers can't share"


def recorded(error: Exception, line: CommandLine) -> str:
    """The sentence for the user; with an id if a policy, ours or the admin's, says no."""
    sentence = str(error)
    match error:
        case PolicyRefused():
            return with_id(sentence, line, error.code, error.where, "deny")
        case Refused() if SHARED in sentence:
            return with_id(sentence, line, "namespace.shared", "", "deny")
        case Refused() | StageRefused():
            return with_id(sentence, line, "create.refused", "", "deny")
        case _:
            return sentence


def noted(told: PolicyRefused, line: CommandLine, verdict: str) -> None:
    """What passes and is recorded: in learn mode what a list alone refuses."""
    with_id(str(told), line, told.code, told.where, verdict, subject=told.subject)


def with_id(sentence: str, line: CommandLine, code: str, where: str, verdict: str, **about: str) -> str:
    file = settings_file(line.settings)
    policy = loaded(StateDir(line.state_dir).policy) or DEFAULTS
    where_said = {**place(file, policy, where), **about}
    event = refusals.refusal(line.id, line.root, line.command, one_line(sentence), code, where_said, verdict)
    written = refusals.write(audit_dir(policy, line.audit_dir), event)
    return f"{sentence} [{written}]" if written else sentence


def audit_dir(policy: Policy, given: str) -> str:
    """The settings' place for the audit file, else the one of the runtime's arguments."""
    return os.path.dirname(policy.audit_file) or given


def place(file: str, policy: Policy, where: str) -> dict[str, str]:
    """Which line of which file says so."""
    found = {"settings": where, "file": file}
    return {**found, "line": str(policy.lines[where])} if where in policy.lines else found
