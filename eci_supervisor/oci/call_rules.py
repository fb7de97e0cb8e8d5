"""The admin's rules for system calls, as far as a container can be made that holds to them. Pure."""
from dataclasses import replace

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.settings import Policy
from eci_supervisor.oci.refusal import PolicyRefused


def enforced(policy: Policy) -> CallRules:
    """The rules of a container. Raises PolicyRefused for a rule that nothing here holds to: better no container than one without it."""
    for key, paths in (("mountSources", policy.calls.mount_sources), ("mountTargets", policy.calls.mount_targets)):
        if paths:
            raise PolicyRefused(f"enhanced container isolation: eci.syscalls.{key}: this version cannot hold to it, so no container is "
                                "made: leave it empty", "settings.invalid", f"eci.syscalls.{key}")
    return replace(policy.calls, nested_user_namespaces=policy.nested_user_namespaces)
