"""mounts: what staging left to the runtime. /proc and /sys are not among them: the hook attaches locked trees."""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Json, Mount, Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    """Entries that staging did not change keep whatever else the spec says of them (uidMappings, say)."""
    raw = spec.get("mounts")
    as_given = dict(zip(spec.mounts, raw if isinstance(raw, list) else [], strict=True))
    return spec.put("mounts", value=[as_given.get(mount) or entry(mount) for mount in plan.mounts])


def entry(mount: Mount) -> Json:
    written: dict[str, Json] = {"destination": mount.destination}
    if mount.type:
        written["type"] = mount.type
    if mount.source:
        written["source"] = mount.source
    written["options"] = list(mount.options)
    return written
