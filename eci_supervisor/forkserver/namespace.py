"""The fork server's mount namespace: a copy of pid 1's, without what belongs to containers and engines.

Supervisors copy it for themselves. Where mounts of the host are shared, a copy follows each unmount; where they are private (inside
containers, on hosts without systemd), it would hold the file systems of other containers until its own container ends: their space is
not freed, and their overlays are mounted twice when they start again.
"""
import os
from collections.abc import Iterable

from eci_supervisor.life.log import Log
from eci_supervisor.linux import mount_api
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.namespaces import CLONE_NEWNS, setns, unshare
from eci_supervisor.mounts.mountinfo import MountEntry, parse_mountinfo

CONTAINERS = frozenset({b"overlay", b"nsfs", b"fuse", b"fuse.eci", b"fuse.lxcfs", b"mqueue"})  # types that hold roots, namespaces and nodes
MNT_DETACH = 2


def superfluous(entries: Iterable[MountEntry], needed: tuple[bytes, ...]) -> list[bytes]:
    """Where to unmount, last first: mounts of containers that lead to none of the `needed` paths. Pure."""
    return [entry.path for entry in reversed(list(entries))
            if (entry.fstype in CONTAINERS or _is_shm(entry)) and not any(_leads_to(entry.path, path) for path in needed)]


def _is_shm(entry: MountEntry) -> bool:
    """A container's /dev/shm, as engines keep it: its pages are memory."""
    return entry.fstype == b"tmpfs" and entry.path.endswith(b"/shm") and entry.path != b"/dev/shm"


def _leads_to(mountpoint: bytes, path: bytes) -> bool:
    return path == mountpoint or path.startswith(mountpoint.rstrip(b"/") + b"/")


def enter(needed: tuple[str, ...], log: Log) -> None:
    """Makes the namespace and joins it. Raises OSError."""
    try:
        with OwnedFd(os.open("/proc/1/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)) as namespace:
            setns(namespace.fileno(), CLONE_NEWNS)
    except PermissionError:
        # Inside a container or a sandbox pid 1 may have capabilities that we lack: then the kernel does not let us at its namespaces.
        log.warning("the mount namespace of pid 1 cannot be joined: supervisors have a copy of that of the server's first caller")
    unshare(CLONE_NEWNS)
    mount_api.mount("none", "/", "", mount_api.MS_REC | mount_api.MS_SLAVE)
    with open("/proc/self/mountinfo", "rb") as file:
        entries = parse_mountinfo(file.read())
    for path in superfluous(entries, tuple(map(os.fsencode, needed))):
        try:
            mount_api.umount(os.fsdecode(path), MNT_DETACH)
        except OSError as error:
            log.warning(f"{error}: it stays mounted for supervisors")
