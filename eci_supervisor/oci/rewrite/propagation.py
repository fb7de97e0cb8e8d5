"""linux.rootfsPropagation: a shared root would send the container's mounts into create's namespace, and no further: a slave instead."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec

WEAKER = {"shared": "slave", "rshared": "rslave"}


def rewrite(spec: Spec, plan: Plan) -> Spec:
    del plan
    if spec.propagation not in WEAKER:
        return spec
    return spec.put("linux", "rootfsPropagation", value=WEAKER[spec.propagation])
