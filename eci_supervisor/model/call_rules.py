"""What an admin may add to the rules for system calls: `syscalls` of the settings, with the defaults of a host without any settings."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MountTypes:
    """`mountTypes`: the file systems that a new mount may not have, or with `allow` the only ones it may."""

    allow: bool = False
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRules:
    """`syscalls`. trap_all: every mount, umount, unshare, setns is vetted and recorded; floor: whether the default floor holds.

    deny, allow: names of system calls; mknod: device nodes that every container has can be made; mount_sources: host paths;
    mount_targets: destinations of volumes; namespaces: kinds that may not be made inside, by the OCI spec's names; nested_depth: of user
    namespaces, the container's own not counted; nested_user_namespaces: `limits`', how many there may be at once.
    """

    trap_all: bool = True
    floor: bool = True
    deny: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    mknod: bool = False
    mount_types: MountTypes = MountTypes()
    mount_sources: tuple[str, ...] = ()
    mount_targets: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    nested_depth: int = 32
    nested_user_namespaces: int = 256


NO_RULES = CallRules()
