"""linux.maskedPaths and readonlyPaths: emptied. They are part of the locked trees, where container root cannot undo them."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    del plan
    return spec.put("linux", "maskedPaths", value=[]).put("linux", "readonlyPaths", value=[])
