"""The kernel's own counters of namespaces: user.max_*_namespaces of the container's user namespace, which nested ones are charged to.

Written when the container's own namespaces are there, so 0 stops further ones alone, whatever call or ABI asks for them. Not for mount
namespaces: each tree of ours is locked in a short-lived one, charged as the container's are.
"""
from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.policy.table import KINDS

UNCOUNTED = frozenset({"mount"})
KERNELS_NAMES = {"network": "net"}
# Read-only in every procfs of the container. As a whole: its files are another dentry for each user namespace that looks, so what covers
# the one that we see covers none of the container's.
LOCKED = "/proc/sys/user"


def counters(calls: CallRules) -> dict[str, int]:
    """Sysctls, by name, of which container root must not raise one."""
    stopped = [kind for kind in KINDS if kind in calls.namespaces and kind not in UNCOUNTED]
    named = {f"user.max_{KERNELS_NAMES.get(kind, kind)}_namespaces": 0 for kind in stopped}
    return {"user.max_user_namespaces": calls.nested_user_namespaces} | named
