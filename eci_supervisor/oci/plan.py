"""What create has decided and staged, and what of it follows for the container's paths. Pure; the rewrites read it."""
from collections.abc import Iterable
from dataclasses import dataclass

from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import Mode
from eci_supervisor.oci.spec import Mount, Spec

PING_GROUP_RANGE = "net.ipv4.ping_group_range"
SYSTEM_MASKED = ("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                 "/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap")
SYSTEM_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger")
SYSTEM_NATIVE = frozenset({"/proc/kcore", "/proc/kmsg"})  # EACCES by ownership: nothing to hide


@dataclass(frozen=True, slots=True)
class Plan:
    """A container in the making.

    ids: its range; joins: a path of the user namespace it joins, "" for one of its own; rootfs, mounts: as staged; front: eci-runc's
    own path; notify_socket, control_socket: the supervisor's; token: tells its seccomp states from others; seccomp_flags: those the
    real runtime is known to take; seccomp: the section that policy.profile made of the engine's; boot_s: whole seconds since
    the host's boot, None where the runtime makes no time namespace.
    """

    mode: Mode
    ids: IdRange
    joins: str
    rootfs: str
    mounts: tuple[Mount, ...]
    front: str
    control_socket: str
    seccomp: dict[str, object]
    boot_s: int | None = None


@dataclass(frozen=True, slots=True)
class Protected:
    """What the locked trees cover: masked and read-only paths as the spec writes them, and whether /sys as a whole is read-only."""

    masked: tuple[str, ...]
    read_only: tuple[str, ...]
    sysfs_read_only: bool


def protected(spec: Spec, mode: Mode) -> Protected:
    """The spec's own lists in mode eci; proc-sys' table in system mode, where /proc/sys and /sys are the container's to write."""
    if mode is Mode.ECI:
        return Protected(spec.masked, spec.read_only_paths, _sysfs_read_only(spec))
    masked = _union((path for path in spec.masked if path not in SYSTEM_NATIVE), SYSTEM_MASKED)
    read_only = _union((path for path in spec.read_only_paths if path != "/proc/sys"), SYSTEM_READ_ONLY)
    return Protected(masked, read_only, sysfs_read_only=False)


def container_sysctls(spec: Spec, ids: IdRange) -> tuple[tuple[str, str], ...]:
    """The spec's sysctls as container root can write them, `/` or `.` between the parts as the spec has it."""
    return tuple((key, _ping_groups(value, ids) if key.replace("/", ".") == PING_GROUP_RANGE else value) for key, value in spec.sysctls)


def _ping_groups(value: str, ids: IdRange) -> str:
    """The kernel answers EINVAL for a group that has no mapping; engines write 0 2147483647."""
    bounds = value.split()
    if not bounds or not all(bound.isascii() and bound.isdigit() for bound in bounds):
        return value
    return " ".join(str(min(int(bound), ids.count - 1)) for bound in bounds)


def _sysfs_read_only(spec: Spec) -> bool:
    """As the last mount of /sys says; without one there is nothing a container could want to write."""
    options = next((mount.options for mount in reversed(spec.mounts) if mount.destination.rstrip("/") == "/sys"), ("ro",))
    return "ro" in options


def _union(*lists: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for paths in lists for path in paths))
