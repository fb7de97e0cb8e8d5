"""The policy in force, brought to bear on one call of create or run."""
from dataclasses import replace

from eci_supervisor.docker.right import right_of
from eci_supervisor.oci.call import Call
from eci_supervisor.oci.decided import decided, mode
from eci_supervisor.oci.recorded import audit_dir, noted
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.spec import Spec
from eci_supervisor.settings.store import current, settings_file


def settled(call: Call, spec: Spec, report: Reporter) -> tuple[Call, Spec]:
    """The call and the spec as the policy has them. Raises PolicyRefused, NotCompiled."""
    policy = current(call.state_dir, settings_file(call.line.settings), call.line.audit_dir)
    for warning in filter(None, (policy.problem, powerless(spec))):
        report.warning(warning)
    line = replace(call.line, mode=mode(policy, call.line.mode), audit_dir=audit_dir(policy, call.line.audit_dir))
    spec, found = decided(spec, policy, call.directory, lambda elsewhere: right_of(
        line.id, policy, call.state_dir, lambda told, verdict: noted(told, line, verdict), elsewhere))
    return replace(call, line=line, decided=found), spec


def powerless(spec: Spec) -> str:
    """What to say of the host's devices in a container; "" where it has none."""
    if not (devices := spec.devices):
        return ""
    more = f" and {len(devices) - 1} more" if len(devices) > 1 else ""
    return (f"device {devices[0]}{more}: visible in the container with the owner that the host gave, which is nobody there: its root can "
            "open what everybody on the host can, no more")
