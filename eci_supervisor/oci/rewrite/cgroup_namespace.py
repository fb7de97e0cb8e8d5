"""linux.namespaces' cgroup entry: one of the container's own, which a mount of cgroup2 in a user namespace needs."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    del plan
    raw = spec.get("linux", "namespaces")
    if spec.namespace("cgroup") is not None or not isinstance(raw, list):
        return spec
    return spec.put("linux", "namespaces", value=[*raw, {"type": "cgroup"}])
