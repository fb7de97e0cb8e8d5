"""process.apparmorProfile: in system mode the engine's is dropped, since docker-default denies every mount."""
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    return spec.without("process", "apparmorProfile") if plan.mode is Mode.SYSTEM else spec
