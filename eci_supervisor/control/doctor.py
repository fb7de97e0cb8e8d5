"""`eci doctor`: what this host must have, tried rather than looked up where that is possible. CHECKS is the list, in the order shown."""
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from eci_supervisor import VERSION
from eci_supervisor.forkserver import client
from eci_supervisor.forkserver.home import hierarchies
from eci_supervisor.idmap import ranges, userns
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.idmap.maps import shifted
from eci_supervisor.linux import mount_api, seccomp
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.ids import IdRange
from eci_supervisor.policy.arch import ABIS_OF_MACHINE, machine_abis, number
from eci_supervisor.policy.table import RULES

KERNEL = (5, 19)  # idmapped layers below an overlay
FUSE_DEVICE = os.makedev(10, 229)
FEW_RANGES = 16


class Level(Enum):
    OK = "ok"
    WARN = "warn"  # it works, and something is weaker or slower than it could be
    FAIL = "fail"  # containers cannot be made, or not be isolated


@dataclass(frozen=True, slots=True)
class Finding:
    """A line: what was looked at, what was found, and, unless all is well, what to do."""

    level: Level
    what: str
    found: str
    advice: str = ""


def ok(what: str, found: str) -> Finding:
    return Finding(Level.OK, what, found)


def kernel_version(release: str) -> tuple[int, int]:
    """The first two numbers of `uname -r`; (0, 0) for any other shape."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def kernel(_: StateDir) -> Finding:
    release = os.uname().release
    if kernel_version(release) >= KERNEL:
        return ok("kernel", release)
    return Finding(Level.FAIL, "kernel", f"{release}: overlays of idmapped layers came with {KERNEL[0]}.{KERNEL[1]}", "Use a newer kernel.")


def root(_: StateDir) -> Finding:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        whole = file.read().split() == ["0", "0", "4294967295"]
    if os.geteuid() == 0 and whole:
        return ok("root", "host root in the initial user namespace")
    return Finding(Level.FAIL, "root", "not host root in the initial user namespace",
                   "Run eci-runc, and this, as root of the host; rootless engines are not supported.")


def machine(_: StateDir) -> Finding:
    name = os.uname().machine
    if name in ABIS_OF_MACHINE:
        return ok("machine", f"{name}, with {', '.join(abi.value for abi in machine_abis())}")
    return Finding(Level.FAIL, "machine", f"{name}: its system calls are not decoded", f"Use {' or '.join(ABIS_OF_MACHINE)}.")


def user_namespaces(_: StateDir) -> Finding:
    try:
        userns.user_namespace(shifted(IdRange(100_000))).close()
    except OSError as error:
        return Finding(Level.FAIL, "user namespaces", f"{error.strerror}",
                       "Raise user.max_user_namespaces (sysctl), and check the kernel's CONFIG_USER_NS.")
    return ok("user namespaces", "can be made")


def notify(_: StateDir) -> Finding:
    if seccomp.has_notify():
        return ok("seccomp notify", "the kernel has it")
    return Finding(Level.FAIL, "seccomp notify", "the kernel has no SECCOMP_RET_USER_NOTIF", "Use a kernel with CONFIG_SECCOMP_FILTER.")


def wait_killable(_: StateDir) -> Finding:
    if seccomp.has_wait_killable():
        return ok("seccomp wait_killable_recv", "the kernel has it; used where the runtime can set it")
    return Finding(Level.WARN, "seccomp wait_killable_recv", "not in this kernel (5.19): a signal can make an emulated call arrive twice",
                   "Nothing to do: each repeated call is recognized.")


def idmapped(_: StateDir) -> Finding:
    """The file system of /var/lib, where engines have their images."""
    place = "/var/lib"
    try:
        with userns.user_namespace(shifted(IdRange(100_000))) as user, mount_api.clone_tree(place) as clone:
            mount_api.mount_setattr(clone.fileno(), userns=user.fileno(), what=place)
    except OSError as error:
        return Finding(Level.FAIL, "idmapped mounts", f"{place}: {error.strerror}",
                       "Put the engine's data root on ext4, xfs, btrfs, or on tmpfs with Linux 6.3.")
    return ok("idmapped mounts", f"{place} can be idmapped")


def pidns(_: StateDir) -> Finding:
    """procfs' own option for the pid namespace, Linux 6.17."""
    try:
        with mount_api.fsopen("proc") as context, open("/proc/self/ns/pid", "rb") as own:
            mount_api.fsconfig_string(context.fileno(), "pidns", f"/proc/self/fd/{own.fileno()}")
    except OSError:
        return ok("procfs pidns=", "not in this kernel (6.17): a child joins the pid namespace instead")
    return ok("procfs pidns=", "the kernel has it")


def fuse(_: StateDir) -> Finding:
    advice = "Load the module (modprobe fuse), and make /dev/fuse if nobody does."
    try:
        found = os.stat("/dev/fuse")
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != FUSE_DEVICE:
            return Finding(Level.FAIL, "/dev/fuse", "is not the FUSE device", advice)
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(Level.FAIL, "/dev/fuse", f"{error.strerror}", advice)
    return ok("/dev/fuse", "can be opened")


def runtimes(_: StateDir) -> Finding:
    versions = [f"{name} {version}" for name in ("runc", "crun") if (version := program_version(name))]
    if versions:
        return ok("runtimes", ", ".join(versions))
    return Finding(Level.FAIL, "runtimes", "neither runc nor crun is in PATH", "Install one, or say where it is: --real-runtime=PATH.")


def program_version(name: str) -> str:
    """The last word of the first line that `name --version` prints; "" where it cannot be run."""
    path = shutil.which(name)
    if path is None:
        return ""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (said.splitlines() or [""])[0].rpartition(" ")[2]


def hybrid(_: StateDir) -> Finding:
    with open("/proc/self/mountinfo", "rb") as file:
        found = hierarchies(file.read())
    unified, others = any(one.unified for one in found), any(not one.unified for one in found)
    if not found:
        return Finding(Level.FAIL, "cgroups", "none is mounted", "Mount cgroup2 at /sys/fs/cgroup.")
    if unified and others and shutil.which("crun"):
        return Finding(Level.WARN, "cgroups", "v1 and v2 side by side: crun refuses that", "Use runc, or boot with cgroup v2 alone.")
    return ok("cgroups", "v1 and v2 side by side" if unified and others else "v2" if unified else "v1")


def pool(state_dir: StateDir) -> Finding:
    source = ranges.pool(_text("/etc/subuid"), _text("/etc/subgid"))
    total = sum(1 for _ in source.ranges())
    taken = len({lease.ids.start for lease in Leases(state_dir).listing()}) if os.path.isdir(state_dir.path) else 0
    said = f"{source}: {total} ranges of 65536, {taken} leased"
    advice = "Give /etc/subuid and /etc/subgid the same line eci:FIRST:COUNT, that no other line overlaps."
    if total == 0:
        return Finding(Level.FAIL, "id ranges", said, advice)
    return Finding(Level.WARN, "id ranges", said, advice) if total - taken < FEW_RANGES else ok("id ranges", said)


def yama(_: StateDir) -> Finding:
    scope = _text("/proc/sys/kernel/yama/ptrace_scope").strip()
    if scope == "3":
        return Finding(Level.FAIL, "yama.ptrace_scope", "3: nobody may read a caller's memory", "Boot with it set to 2 or less.")
    return ok("yama.ptrace_scope", scope or "no yama")


def dumpable(_: StateDir) -> Finding:
    value = _text("/proc/sys/fs/suid_dumpable").strip()
    if value in ("0", ""):
        return ok("fs.suid_dumpable", value or "not there")
    return Finding(Level.WARN, "fs.suid_dumpable", f"{value}: what acts for a container's caller can be dumped for some microseconds",
                   "Set it to 0, the kernel's default, unless you are debugging set-uid programs.")


def calls(_: StateDir) -> Finding:
    """Rules for calls that libseccomp cannot name do nothing: the profile drops them without a word."""
    if os.uname().machine not in ABIS_OF_MACHINE:
        return Finding(Level.WARN, "libseccomp", "not asked: see machine")
    own = machine_abis()[0]
    unknown = sorted({rule.call for rule in RULES if own in rule.abis and number(own, rule.call) is None})
    if not unknown:
        return ok("libseccomp", "knows every call that has a rule")
    return Finding(Level.WARN, "libseccomp", f"does not know {', '.join(unknown)}: they are not vetted, the kernel's locks hold alone",
                   "Install a newer libseccomp where there is one.")


def init_namespace(_: StateDir) -> Finding:
    try:
        os.stat("/proc/1/ns/mnt")
    except PermissionError:
        return Finding(Level.WARN, "mount namespace of pid 1", "cannot be joined: this is a container or a sandbox",
                       "Supervisors stay in the mount namespace of the engine that asks for the first; let that one live.")
    return ok("mount namespace of pid 1", "can be joined")


def fork_server(state_dir: StateDir) -> Finding:
    try:
        pid = client.ping(state_dir)
    except client.NoServerError:
        return ok("fork server", f"none runs at {state_dir.fork_socket}: the next create starts one")
    except client.ForkServerError as error:
        return Finding(Level.FAIL, "fork server", str(error), f"End the process that listens on {state_dir.fork_socket}.")
    return ok("fork server", f"pid {pid}, version {VERSION}")


CHECKS: tuple[Callable[[StateDir], Finding], ...] = (
    kernel, machine, root, user_namespaces, idmapped, notify, wait_killable, pidns, fuse, runtimes, hybrid, pool, yama, dumpable, calls,
    init_namespace, fork_server,
)


def findings(state_dir: StateDir) -> tuple[Finding, ...]:
    """Every check; one that itself meets an error it does not know is a failure with that error."""
    found = []
    for check in CHECKS:
        try:
            found.append(check(state_dir))
        except OSError as error:
            found.append(Finding(Level.FAIL, check.__name__.replace("_", " "), str(error), "This was not to be expected: see the error."))
    return tuple(found)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
