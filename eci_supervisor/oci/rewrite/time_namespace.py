"""linux.namespaces' time entry and linux.timeOffsets: the container's machine boots now. The monotonic clock stays as it is.

In it the kernel's own start times, CLOCK_BOOTTIME, sysinfo(2) and btime agree, so `ps` is right. A runtime that knows no time namespace
is given none; a spec that has one already says itself what time it is.
"""
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Spec


def rewrite(spec: Spec, plan: Plan) -> Spec:
    raw = spec.get("linux", "namespaces")
    if plan.boot_s is None or spec.namespace("time") is not None or not isinstance(raw, list):
        return spec
    named = spec.put("linux", "namespaces", value=[*raw, {"type": "time"}])
    return named.put("linux", "timeOffsets", "boottime", value={"secs": -plan.boot_s, "nanosecs": 0})
