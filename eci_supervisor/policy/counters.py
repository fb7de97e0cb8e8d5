"""The kernel's own counters of namespaces: user.max_*_namespaces of the container's user namespace, which nested ones are charged to.

Written when the container's own namespaces are there, so 0 stops further ones alone, whatever call or ABI asks for them. Not for mount
namespaces: each tree of ours is locked in a short-lived one, charged as the container's are.
"""
from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.policy.table import KINDS

UNCOUNTED = frozenset({"mnt"})


def counters(calls: CallRules) -> dict[str, int]:
    """Sysctls, by name, of which container root must not raise one."""
    stopped = {f"user.max_{kind}_namespaces": 0 for kind in KINDS if kind in calls.namespaces and kind not in UNCOUNTED}
    return {"user.max_user_namespaces": calls.nested_user_namespaces} | stopped


def locked(calls: CallRules) -> tuple[str, ...]:
    """Their files, read-only in every procfs of the container."""
    return tuple(f"/proc/sys/{name.replace('.', '/')}" for name in counters(calls))
