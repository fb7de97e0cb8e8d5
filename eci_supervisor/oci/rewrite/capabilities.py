"""process.capabilities: in system mode container root has all of them, inside its user namespace."""
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.plan import Plan
from eci_supervisor.oci.spec import Json, Spec

# By number, as in include/uapi/linux/capability.h. A runtime drops with a warning what its kernel does not know, so the list is cut at
# those that every supported kernel (5.15) has.
ALL = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
    "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip


def rewrite(spec: Spec, plan: Plan) -> Spec:
    if plan.mode is not Mode.SYSTEM or spec.get("process") is None:
        return spec
    return with_all(spec, "process")


def with_all(spec: Spec, *process: str) -> Spec:
    """The process at that place with all capabilities; another user than root has them in the bounding set alone, as on a host.

    Not the ambient and inheritable ones: a program's change to another user shall drop them.
    """
    every: list[Json] = list(ALL)
    spec = spec.put(*process, "capabilities", "bounding", value=every)
    if spec.get(*process, "user", "uid"):
        return spec
    return spec.put(*process, "capabilities", "effective", value=every).put(*process, "capabilities", "permitted", value=every)
