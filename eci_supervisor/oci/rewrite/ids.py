"""linux.namespaces' user entry, uidMappings and gidMappings: the leased range and nothing else.

A container that joins another's namespaces joins its user namespace by path; runc wants the maps beside the path, the same ones.
"""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Json, Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    raw = spec.get("linux", "namespaces")
    others = [entry for entry in (raw if isinstance(raw, list) else []) if not (isinstance(entry, dict) and entry.get("type") == "user")]
    user: dict[str, Json] = {"type": "user", "path": plan.joins} if plan.joins else {"type": "user"}
    line: Json = [{"containerID": 0, "hostID": plan.ids.start, "size": plan.ids.count}]
    spec = spec.put("linux", "namespaces", value=[*others, user])
    return spec.put("linux", "uidMappings", value=line).put("linux", "gidMappings", value=line)
