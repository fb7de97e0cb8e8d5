"""linux.seccomp: the engine's profile with our notified calls in it, made by policy.profile from the one table of rules."""
from typing import cast

from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Json, Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    return spec.put("linux", "seccomp", value=cast(Json, plan.seccomp))
