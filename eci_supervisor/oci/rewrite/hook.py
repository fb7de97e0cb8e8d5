"""hooks.createRuntime: ours behind the engine's, which move the network into its new namespace first.

The environment is given, since the runtime's own would reach the hook otherwise, and a time-out, since create waits for it.
"""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Json, Spec

TIMEOUT_S = 30


def rewrite(spec: Spec, plan: Plan) -> Spec:
    engine = spec.get("hooks", "createRuntime")
    ours: Json = {
        "path": plan.front,
        "args": ["eci-runc", "--eci-hook", plan.control_socket],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        "timeout": TIMEOUT_S,
    }
    return spec.put("hooks", "createRuntime", value=[*(engine if isinstance(engine, list) else []), ours])
