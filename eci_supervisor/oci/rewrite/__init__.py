"""The config.json that the real runtime gets: one step a file, each pure, (Spec, Plan) → Spec."""
from collections.abc import Callable

from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.rewrite import (
    apparmor,
    capabilities,
    cgroup_namespace,
    hook,
    ids,
    mounts,
    propagation,
    protected,
    root,
    seccomp,
    sysctl,
    time_namespace,
)
from eci_supervisor.oci.spec import Spec

Rewrite = Callable[[Spec, Plan], Spec]

REWRITES: tuple[Rewrite, ...] = (
    root.rewrite,
    propagation.rewrite,
    mounts.rewrite,
    ids.rewrite,
    cgroup_namespace.rewrite,
    time_namespace.rewrite,
    sysctl.rewrite,
    protected.rewrite,
    seccomp.rewrite,
    capabilities.rewrite,
    apparmor.rewrite,
    hook.rewrite,
)


def rewritten(spec: Spec, plan: Plan) -> Spec:
    """All of REWRITES, in order."""
    for rewrite in REWRITES:
        spec = rewrite(spec, plan)
    return spec
