"""linux.sysctl: taken out. The runtime would write them through the container's /proc after our tree made /proc/sys read-only there."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    del plan
    return spec.without("linux", "sysctl")
