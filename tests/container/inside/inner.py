"""A container inside the container: made by the runtimes of the host's own packages, as an inner engine would."""
import json
import os
import pathlib
import shutil
import subprocess

from tests.container.inside.procfs import N

BUNDLE = pathlib.Path("/tmp/inner")
RUNTIMES = {"runc": ("/usr/sbin/runc", "--rootless=true"), "crun": ("/usr/bin/crun", "--cgroup-manager=disabled")}
LOOK = f"""stat -f -c %t /proc/uptime; cat /proc/kcore | wc -c; echo 1 2>/dev/null >/proc/{N} && echo written || echo refused
readlink /proc/self; ls /sys/class/net; cat /proc/sys/{N[4:]}"""


def bundle(runtime: str, *, privileged: bool) -> None:
    shutil.rmtree(BUNDLE, ignore_errors=True)
    for directory in ("bin", "proc", "sys", "dev", "tmp"):
        (BUNDLE / "rootfs" / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", BUNDLE / "rootfs/bin/sh")
    capabilities = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]
    plain = ["nosuid", "noexec", "nodev"]
    spec = {
        "ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hostname": "inner",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", LOOK], "env": ["PATH=/bin"], "cwd": "/",
                    "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities)},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": plain},
                   {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, "ro"]},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "uts", "ipc")],
                  # runc does without cgroups only where none is asked for; crun is told to.
                  **({"cgroupsPath": "/inner"} if runtime == "crun" else {}),
                  "maskedPaths": [] if privileged else ["/proc/kcore", "/proc/keys", "/sys/firmware"],
                  "readonlyPaths": [] if privileged else ["/proc/sys", "/proc/bus"]},
    }
    (BUNDLE / "config.json").write_text(json.dumps(spec))


def ran(runtime: str, *, privileged: bool) -> object:
    bundle(runtime, privileged=privileged)
    shell = str(BUNDLE / "rootfs/bin/sh")
    for applet in ("stat", "cat", "wc", "readlink", "ls"):
        os.symlink("sh", f"{os.path.dirname(shell)}/{applet}")
    command = [*RUNTIMES[runtime], f"--root=/tmp/inner-{runtime}", "run", "inner"]
    done = subprocess.run(command, cwd=BUNDLE, capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout.split("\n"), done.stderr[-600:]


def line_33_runc() -> object:
    return ran("runc", privileged=False)


def line_33_crun() -> object:
    return ran("crun", privileged=False)


def line_34_runc() -> object:
    return ran("runc", privileged=True)


def line_34_crun() -> object:
    return ran("crun", privileged=True)
