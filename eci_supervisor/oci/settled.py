"""The policy in force, brought to bear on one call of create or run."""
from dataclasses import replace

from eci_supervisor.docker.right import right_of
from eci_supervisor.oci.call import Call
from eci_supervisor.oci.decided import decided, mode
from eci_supervisor.oci.recorded import noted
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.spec import Spec
from eci_supervisor.settings.store import current, settings_file


def settled(call: Call, spec: Spec, report: Reporter) -> tuple[Call, Spec]:
    """The call and the spec as the policy has them. Raises PolicyRefused, NotCompiled."""
    policy = current(call.state_dir, settings_file(call.line.settings), call.line.audit_dir)
    if policy.problem:
        report.warning(policy.problem)
    line = replace(call.line, mode=mode(policy, call.line.mode))
    spec, found = decided(spec, line.id, policy, call.directory, lambda: right_of(
        line.id, policy, call.state_dir, lambda told, verdict: noted(told, line, verdict)))
    return replace(call, line=line, decided=found), spec
