"""The policy in force, brought to bear on one call of create or run."""
from dataclasses import replace

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import Policy, Rights
from eci_supervisor.oci.call import Call
from eci_supervisor.oci.decided import decided, mode
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.spec import Spec
from eci_supervisor.settings.store import current, settings_file


def settled(call: Call, spec: Spec, report: Reporter) -> tuple[Call, Spec]:
    """The call and the spec as the policy has them. Raises PolicyRefused, NotCompiled."""
    policy = current(call.state_dir, settings_file(call.line.settings))
    if policy.problem:
        report.warning(policy.problem)
    line = replace(call.line, mode=mode(policy, call.line.mode))
    spec, found = decided(spec, line.id, policy, call.state_dir, call.directory, right)
    return replace(call, line=line, decided=found), spec


def right(container: str, policy: Policy, state_dir: StateDir) -> Rights:
    """Of the image that a container was made from. Imported when a container wants the socket: an HTTP client is nothing for others."""
    from eci_supervisor.docker.right import right_of

    return right_of(container, policy, state_dir)
