"""root.path: the staged rootfs, an absolute path. `readonly` stays: the staged one is read-only already, the runtime says it again."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    return spec.put("root", "path", value=plan.rootfs)
