"""The host paths that no container binds, and those that it binds read-only, on a plain Linux host. The admin adds, nothing takes away."""
from typing import Final

CONTROL: Final = (
    "/run/docker.sock", "/run/docker", "/run/containerd", "/run/buildkit", "/run/podman", "/run/crio", "/run/cri-dockerd.sock", "/run/k3s",
    "/run/libvirt", "/run/systemd/private", "/run/dbus", "/run/snapd.socket", "/run/snapd-snap.socket", "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket", "/run/eci",
)  # fmt: skip
STATE: Final = (
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/rancher", "/var/lib/etcd",
    "/var/lib/eci",
)  # fmt: skip
CONFIGURATION: Final = (
    "/etc/docker", "/etc/containerd", "/etc/containers", "/etc/kubernetes", "/etc/eci", "/etc/shadow", "/etc/gshadow", "/etc/sudoers",
    "/etc/sudoers.d", "/etc/ssh", "/etc/pam.d", "/etc/systemd", "/etc/crontab", "/etc/cron.d", "/etc/ld.so.preload", "/var/spool/cron",
    "/boot",
)  # fmt: skip
DENIED: Final = CONTROL + STATE + CONFIGURATION
READ_ONLY: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")

# null, zero, full, random, urandom, tty, fuse, net/tun. Source: Documentation/admin-guide/devices.txt.
DEVICES: Final = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (10, 229), (10, 200)})
# statfs(2) of what shows the kernel's own objects; a bind of it is none of a directory. Source: include/uapi/linux/magic.h.
MAGICS: Final = {
    0x9FA0: "proc", 0x62656572: "sysfs", 0x27E0EB: "cgroup", 0x63677270: "cgroup2", 0x64626720: "debugfs", 0x74726163: "tracefs",
    0x73636673: "securityfs", 0x62656570: "configfs", 0xDE5E81E4: "efivarfs", 0xCAFE4A11: "bpf", 0x6E736673: "nsfs", 0x19800202: "mqueue",
    0x1373: "devfs",
}  # fmt: skip
