"""What a test may require, by word. A probe tries the thing itself and returns why it is missing, or None.

An error that a probe does not expect is a failure of the test, not a reason to skip it.
"""
import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.support import rootfs

SECCOMP_GET_NOTIF_SIZES = 3
NR_SECCOMP = {"x86_64": 317, "aarch64": 277}
CGROUP = Path("/sys/fs/cgroup")


def program(name: str, option: str = "--version") -> Callable[[], str | None]:
    """A probe for a program on the path that can be started."""

    @cache
    def probe() -> str | None:
        if shutil.which(name) is None:
            return f"no program {name} in PATH"
        status = subprocess.run([name, option], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
        return None if status == 0 else f"{name} {option} ends with status {status}"

    return probe


@cache
def root() -> str | None:
    if os.geteuid() != 0:
        return "not root"
    # Root of a user namespace cannot give ids away, which everything here starts with.
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return None if whole else "root of a user namespace, not the host's"


@cache
def busybox() -> str | None:
    """A static one: it is all that a container of the tests holds."""
    try:
        rootfs.busybox()
    except FileNotFoundError as error:
        return str(error)
    return None


@cache
def seccomp_notify() -> str | None:
    sizes = ctypes.create_string_buffer(6)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(NR_SECCOMP[os.uname().machine], SECCOMP_GET_NOTIF_SIZES, 0, sizes) == 0:
        return None
    return f"seccomp user notification: {os.strerror(ctypes.get_errno())}"


@cache
def fuse() -> str | None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    return None


@cache
def cgroup() -> str | None:
    """A cgroup of our own can be made, in v2 or in v1's memory hierarchy."""
    parent = CGROUP if (CGROUP / "cgroup.controllers").exists() else CGROUP / "memory"
    own = parent / f"eci-probe-{os.getpid()}"
    try:
        own.mkdir()
        own.rmdir()
    except OSError as error:
        return f"{own}: {error.strerror}"
    return None


@cache
def i386() -> str | None:
    """The compiler makes 32-bit programs and the kernel runs them."""
    source = "int main(void) { return 0; }"
    output = f"/tmp/eci-probe-{os.getpid()}"
    command = ["cc", "-m32", "-static", "-x", "c", "-", "-o", output]
    made = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    if made.returncode != 0:
        return "cc -m32 does not work (Debian: gcc-multilib)"
    try:
        return None if subprocess.run([output], check=False).returncode == 0 else "a 32-bit program does not run"
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return "this kernel runs no 32-bit programs"
    finally:
        Path(output).unlink()


@cache
def psutil() -> str | None:
    """Debian's, of the system's Python: what programs in a container would use."""
    status = subprocess.run(["/usr/bin/python3", "-c", "import psutil"], capture_output=True, check=False).returncode
    return None if status == 0 else "no module psutil (Debian: python3-psutil)"


PROBES: dict[str, Callable[[], str | None]] = {
    "root": root,
    "busybox": busybox,
    "seccomp_notify": seccomp_notify,
    "fuse": fuse,
    "cgroup": cgroup,
    "i386": i386,
    "compiler": program("cc"),
    "clang": program("clang"),
    "go": program("go", "version"),
    "git": program("git"),
    "runc": program("runc"),
    "crun": program("crun"),
    "dockerd": program("dockerd"),
    "docker_registry": program("docker-registry"),
    "docker": program("docker"),
    "docker_compose": program("docker-compose"),
    "lxcfs": program("lxcfs"),
    "psutil": psutil,
    "apt-get": program("apt-get"),
    "bwrap": program("bwrap"),
    "podman": program("podman"),
    "redis": program("redis-check-rdb"),
}


def promised(environment: dict[str, str]) -> frozenset[str]:
    """The words that must not be missing: ECI_PROMISED lists them, or says `all`, as CI does by CI=true."""
    named = environment.get("ECI_PROMISED", "all" if environment.get("CI") == "true" else "")
    return frozenset(PROBES) if named == "all" else frozenset(named.replace(",", " ").split())
