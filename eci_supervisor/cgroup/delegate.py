"""Delegation of a container's cgroups: which files change hands, and the change. Reads /proc and chowns below /sys/fs/cgroup.

Some facts: cgroup v2 lists in /sys/kernel/cgroup/delegate what may be given away without giving away limits; in v1 it is `tasks` and
`cgroup.procs`. The directory itself goes too: mkdir inside is what delegation is for. Its limit files stay host root's.
"""
import os
from pathlib import Path
from typing import Final

from eci_supervisor.mounts.mountinfo import MountEntry, parse_mountinfo

V1_FILES: Final = ("tasks", "cgroup.procs")
V2_FILES: Final = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim")


def directories(cgroups: bytes, mounts: tuple[MountEntry, ...]) -> dict[bytes, bool]:
    """The directories of a process's cgroups: path -> is it v2. `cgroups` is its /proc/PID/cgroup, `mounts` our own mount table.

    The root cgroup of a hierarchy is never among them: giving it away would give the host's. Hierarchies without a mount are skipped.
    """
    found = {}
    for line in cgroups.splitlines():
        number, controllers, path = line.split(b":", 2)
        unified = number == b"0"
        if path == b"/" or b"/.." in path:
            continue
        for mount in mounts:
            wanted = mount.fstype == (b"cgroup2" if unified else b"cgroup") and mount.root == b"/"
            if wanted and (unified or controllers.split(b",")[0] in mount.super_options):
                found[mount.path + path] = unified
                break
    return found


def delegate(init: int, owner: int) -> None:
    """Gives the cgroups of process `init` to host id `owner` (user and group). Raises OSError that names the file."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    for directory, unified in directories(Path(f"/proc/{init}/cgroup").read_bytes(), mounts).items():
        os.chown(directory, owner, owner)
        for name in V2_FILES if unified else V1_FILES:
            file = directory + b"/" + name.encode()
            if os.path.exists(file):
                os.chown(file, owner, owner)
