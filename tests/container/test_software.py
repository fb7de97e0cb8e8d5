"""Software that mounts for a living, inside a container: the host's own programs, in a root file system with their libraries."""
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.support.driver import Container, Runtime
from tests.support.rootfs import PROGRAMS, compile_program
from tests.support.software import add_program, add_programs, software_root

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "bwrap", "podman", "seccomp_notify", "fuse")
UTIL_LINUX = ("mount", "umount", "findmnt", "unshare", "nsenter")
ENGINES = ("bwrap", "podman", "conmon", "runc", "crun")
VIRTUAL = "65735546"


@pytest.fixture(scope="module")
def software(root_image: Path, playground: Path) -> Path:
    root = software_root(root_image, playground / "software", (*UTIL_LINUX, *ENGINES))
    compile_program(PROGRAMS / "sandbox.c", root / "usr/bin/sandbox")
    return root


@pytest.fixture
def host(containers: Launch, software: Path, runtime: Runtime) -> Container:
    """A container in system mode, with all capabilities, that is to be the host of other sandboxes."""
    return containers(under=replace(runtime, mode="system"), privileged=True, rootfs=str(software)).up()


def kind(path: str) -> str:
    """A script that prints the type of the file system that `path` is on, a number."""
    return f"stat -f -c %t {path}"


def test_util_linux(host: Container) -> None:
    """mount, umount, findmnt, unshare and nsenter, as an administrator of the container uses them."""
    script = f"""
set -e
mount -t proc proc /t -o ro,hidepid=2; {kind("/t/uptime")}; mount -o remount,rw /t; mount -o remount,bind,ro /t; umount /t
mount --rbind /proc /t; {kind("/t/uptime")}; umount -l /t
mount -t tmpfs -o size=1m none /t; mkdir /t/a; mount --make-shared /t; mount --bind /t/a /mnt; findmnt -n -o TARGET -R /t
umount /mnt; mount --make-private /t; umount /t
unshare -Urpfm --mount-proc sh -c 'echo pid $$; {kind("/proc/uptime")}'
unshare -n sh -c 'mount -t sysfs sys /t && ls /t/class/net'
unshare -m --propagation slave sh -c 'mount -t proc proc /t && umount -R /mnt 2>/dev/null; {kind("/t/uptime")}'
sleep 60 & nsenter -t $! -m -u -i -n -p true && echo entered
kill $!; findmnt -n -M /t -t tmpfs,proc || echo clean
"""
    assert host.sh(script).ok().lines == [
        VIRTUAL, VIRTUAL, "/t", "pid 1", VIRTUAL, "lo", VIRTUAL, "entered", "clean"]


SHOW = f"sh -c 'echo $$; {kind('/proc/uptime')}; touch /bin/x'"
PARTS = " ".join(f"--ro-bind {path} {path}" for path in ("/bin", "/usr", "/lib", "/lib64"))
BWRAP = (
    f"bwrap --unshare-all {PARTS} --proc /proc --dev /dev {SHOW}",
    f"bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp {SHOW}",
)


def test_bubblewrap(host: Container, containers: Launch, software: Path) -> None:
    """As root of the container, and without any capability, in a container that has none to give."""
    ordinary = containers(rootfs=str(software)).up()
    for container, options in ((host, ()), (ordinary, ()), (ordinary, ("--user=1000:1000",))):
        for command in BWRAP:
            done = container.sh(command, options=options)
            assert done.lines == ["2", VIRTUAL], (options, done)
            assert "Read-only file system" in done.err


OF_A_NAMESPACE = "sys/net/netfilter/nf_conntrack_max"


def test_a_node_of_another_network_namespace(host: Container) -> None:
    """Where the mount table shows it, but no path leads to it: a remount finds it from where it was mounted."""
    script = f"""
cat >/tmp/flags <<'end'
while read -r line; do
    case $line in *' /t/{OF_A_NAMESPACE} ro,'*) echo ro;; *' /t/{OF_A_NAMESPACE} '*) echo rw;; esac
done </proc/self/mountinfo
end
cat >/tmp/bwrap <<'end'
mount -t proc proc /proc
{BWRAP[1]}
end
mount --rbind /proc /t; node=/t/{OF_A_NAMESPACE}
unshare -n stat -f -c %T $node
unshare -n mount -o remount,bind,ro $node; sh /tmp/flags
unshare -n umount $node || echo 5 >$node || echo refused
unshare -n mount -o remount,bind,ro /t/sys/net/ipv4/ip_forward || echo kernel
umount -l /t
unshare -nm sh /tmp/bwrap
"""
    done = host.sh(script)
    assert done.lines == ["proc", "ro", "refused", "kernel", "2", VIRTUAL], done


def test_a_build_sandbox(containers: Launch, software: Path) -> None:
    """As nix makes one for a build, by somebody who has no capability: a root bound over itself, fresh procfs, the old root gone."""
    builder = containers(rootfs=str(software)).up()
    script = f"""
cat >/tmp/build.sh <<'end'
set -e
cd "$(mktemp -d)"; mkdir root; mount --bind root root; cd root; mkdir bin proc dev old; cp /bin/busybox bin/sh; : >dev/null
mount --bind /dev/null dev/null; mount -t proc proc proc; mount -t tmpfs -o size=1m none old; umount old
pivot_root . old
exec sh -c 'cd /; umount -l old; echo $$; {kind("/proc/uptime")}; umount /proc/uptime; ls old'
end
unshare -Urmpnuif sh /tmp/build.sh
"""
    done = builder.sh(script, options=("--user=1000:1000",))
    assert done.lines == ["1", VIRTUAL], done
    assert "Invalid argument" in done.err


@pytest.mark.requires("apt-get")
def test_apt(containers: Launch, software: Path) -> None:
    """Its methods drop to _apt with no capability, and forbid themselves most calls by a filter of their own."""
    add_programs(software, ("dpkg", "apt-get"))
    for method in ("file", "store", "copy"):
        add_program(software, Path("/usr/lib/apt/methods", method))
    shutil.copytree("/usr/share/dpkg", software / "usr/share/dpkg", dirs_exist_ok=True)
    script = """
mkdir -p /repo /etc/apt/apt.conf.d /etc/apt/preferences.d /var/lib/apt/lists/partial /var/lib/dpkg /var/cache/apt/archives/partial
: >/var/lib/dpkg/status; echo '_apt:x:42:65534::/nonexistent:/bin/false' >>/etc/passwd; echo 'nogroup:x:65534:' >>/etc/group
chown _apt /var/lib/apt/lists/partial
printf 'Package: demo\\nVersion: 7\\nArchitecture: all\\nDescription: none\\n' >/repo/Packages
echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list
apt-get -q -o APT::Sandbox::Seccomp=true -o Debug::NoLocking=true update && grep -h -s . /var/lib/apt/lists/*Packages
"""
    done = containers(rootfs=str(software)).up().sh(script)
    assert "Package: demo" in done.out, done


def test_a_units_sandbox(host: Container) -> None:
    """What systemd sets up for a unit: private mounts, a fresh procfs with hidepid, tunables read-only, nothing of /home."""
    script = f"{kind('/proc/uptime')}; ls -d /home/user; echo 5 >/proc/sys/kernel/panic; ls /tmp; mount -t proc proc /mnt && echo mounted"
    done = host.sh(f"touch /tmp/seen; exec sandbox sh -c '{script}'")
    assert done.lines == [VIRTUAL, "mounted"]
    assert "No such file" in done.err
    assert "Read-only file system" in done.err or "nonexistent directory" in done.err or "can't create" in done.err
    assert host.sh("echo 6 >/proc/sys/kernel/panic; cat /proc/sys/kernel/panic").ok().out == "6\n"


INNER = (
    "while read -r line; do case $line in *'/proc/uptime '*) echo node;; esac; done </proc/self/mountinfo; "
    "echo x >/proc/sysrq-trigger || echo masked"
)


def inner_bundle(host: Container, software: Path) -> None:
    """/run/inner: a bundle made by the inner runc's own `spec`, with busybox as its root."""
    host.sh("rm -rf /run/inner; mkdir -p /run/inner/rootfs/bin; cd /run/inner; runc spec; cp /bin/busybox rootfs/bin/sh").ok()
    config = software / "run/inner/config.json"
    spec = json.loads(config.read_text())
    spec["process"]["terminal"] = False
    spec["process"]["args"] = ["sh", "-c", INNER]
    spec["root"]["readonly"] = False
    spec["linux"]["cgroupsPath"] = "/inner"
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
    config.write_text(json.dumps(spec))


@pytest.mark.parametrize("inner", ["runc", "crun"])
def test_line_33_an_inner_container(host: Container, software: Path, inner: str) -> None:
    inner_bundle(host, software)
    # crun 1.8 cannot fill in the cpuset of a cgroup that it has made itself on version 1.
    without = "--cgroup-manager=disabled" if inner == "crun" else ""
    done = host.sh(f"cd /run/inner && {inner} {without} --root=/run/inner-{inner} run inner-{inner}")
    assert done.lines == ["node", "masked"], done


def test_podman_inside(host: Container) -> None:
    """An inner engine: storage by copies, no network of its own."""
    host.sh("mkdir -p /run/image/bin /run/image/proc /run/image/sys /run/image/dev && cp /bin/busybox /run/image/bin/sh").ok()
    options = "--rm --network=none --runtime=runc --log-driver=none"
    done = host.sh(f"podman --root=/run/storage --runroot=/run/podman --storage-driver=vfs --cgroup-manager=cgroupfs run {options} "
                   "--rootfs /run/image sh -c 'read line </proc/uptime && echo ran'")
    assert done.out == "ran\n", done
