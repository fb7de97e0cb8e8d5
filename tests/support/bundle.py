"""OCI bundles: a config.json such as Docker 20.10 writes for an ordinary container, and the usual changes to it."""
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.rootfs import copy_root

DOCKER_CAPABILITIES = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip
MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip  # by number, as include/uapi/linux/capability.h has them
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")

Spec = dict[str, Any]


def all_capabilities() -> list[str]:
    """Every capability this kernel has."""
    return [f"CAP_{name}" for name in CAPABILITIES[: int(LAST_CAPABILITY.read_text()) + 1]]


def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, object]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def bind(source: Path | str, destination: str, *options: str) -> dict[str, object]:
    """A volume as Docker writes it; rw unless `ro` is among the options."""
    return mount(destination, "bind", str(source), "rbind", "rprivate", *options)


def process(args: Iterable[str], *, capabilities: Iterable[str], uid: int = 0, terminal: bool = False) -> dict[str, object]:
    held = list(capabilities) if uid == 0 else []
    sets = dict.fromkeys(("bounding", "effective", "permitted"), held)
    return {
        "terminal": terminal,
        "user": {"uid": uid, "gid": uid},
        "args": list(args),
        "env": [PATH, "HOME=/root"],
        "cwd": "/",
        "capabilities": sets,
        "noNewPrivileges": False,
    }


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a bundle shall be.

    privileged: all capabilities, nothing masked, /sys and cgroups writable, as `docker run --privileged`; capabilities: instead of
    Docker's; mounts: behind the usual ones, in this order, see bind(); namespaces: those made new; linux: further keys of that section;
    rootfs: a path, else the bundle gets a copy of the image.
    """

    args: tuple[str, ...] = ("sleep", "1000")
    privileged: bool = False
    capabilities: tuple[str, ...] = DOCKER_CAPABILITIES
    uid: int = 0
    terminal: bool = False
    read_only: bool = False
    mounts: tuple[dict[str, object], ...] = ()
    namespaces: tuple[str, ...] = ("pid", "network", "ipc", "uts", "mount")
    linux: Spec = field(default_factory=dict)
    cgroups: bool = True
    rootfs: str = ""


def base_mounts(recipe: Recipe) -> list[dict[str, object]]:
    access = "rw" if recipe.privileged else "ro"
    mounts = [
        mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", access),
    ]
    if recipe.cgroups:
        mounts.append(mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", access))
    mounts.append(mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
    mounts.append(mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"))
    return mounts


def config(recipe: Recipe, *, rootfs: str, cgroups_path: str) -> Spec:
    """config.json as a dictionary. `cgroups_path` is never empty: crun would act on the cgroup that everything else lives in."""
    capabilities = all_capabilities() if recipe.privileged else recipe.capabilities
    linux: Spec = {
        "namespaces": [{"type": name} for name in recipe.namespaces],
        "cgroupsPath": cgroups_path,
        "resources": {"devices": [{"allow": recipe.privileged, "access": "rwm"}]},
        "maskedPaths": [] if recipe.privileged else list(MASKED),
        "readonlyPaths": [] if recipe.privileged else list(READ_ONLY),
    }
    return {
        "ociVersion": "1.0.2",
        "process": process(recipe.args, capabilities=capabilities, uid=recipe.uid, terminal=recipe.terminal),
        "root": {"path": rootfs, "readonly": recipe.read_only},
        "hostname": "busybox",
        "mounts": [*base_mounts(recipe), *recipe.mounts],
        "linux": {**linux, **recipe.linux},
    }


def make_bundle(directory: Path, root: Path, recipe: Recipe, *, cgroups_path: str) -> Path:
    """A bundle with a copy of `root` as its rootfs. Directories are 0711: both runtimes walk them with container root's ids."""
    directory.mkdir(mode=0o711)
    if not recipe.rootfs:
        copy_root(root, directory / "rootfs")
    write_config(directory, config(recipe, rootfs=recipe.rootfs or "rootfs", cgroups_path=cgroups_path))
    return directory


def read_config(bundle: Path) -> Spec:
    spec: Spec = json.loads((bundle / "config.json").read_text())
    return spec


def write_config(bundle: Path, spec: Spec) -> None:
    (bundle / "config.json").write_text(json.dumps(spec, indent=1))
