"""What is answered to a notification.

After SECCOMP_USER_NOTIF_FLAG_CONTINUE the kernel reads the caller's memory, fds, cwd and root again, and another thread may have
changed them (seccomp_unotify(2)). So a Continue names the kernel's own checks that make every other content harmless.
"""
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from eci_supervisor.model.tree import TreeKind

AT_RECURSIVE: Final = 0x8000


class KernelCheck(Enum):
    """A check the kernel makes after Continue, whatever memory holds by then. The value is what it gives, for docs and events."""

    LOCK = "MNT_LOCKED and the locked flags of a mount: EINVAL, EPERM"
    REVEAL = "mount_too_revealing: a fresh procfs or sysfs is EPERM"
    TYPE = "FS_USERNS_MOUNT: other file system types are EPERM"
    OWNER = "CAP_SYS_ADMIN in the superblock's user namespace: EPERM"
    NSCAP = "a capability in the owner of the namespace concerned: EPERM"
    HOSTCAP = "a capability in the initial user namespace: EPERM"


@dataclass(frozen=True, slots=True)
class MountTree:
    """Make a locked tree and attach it where the caller's target leads: a new procfs or sysfs of mount(2).

    `flags` are the caller's MS_* flags, `target` and `options` its strings as they were copied.
    """

    kind: TreeKind
    target: bytes
    flags: int
    options: bytes


@dataclass(frozen=True, slots=True)
class RemountBind:
    """MS_REMOUNT|MS_BIND of a tree's mount, then the nodes below made to agree; NotATree if the target is none."""

    target: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class RemountSuperblock:
    """MS_REMOUNT of a procfs tree with its options, then the nodes below made to agree; NotATree if the target is none."""

    target: bytes
    flags: int
    options: bytes


@dataclass(frozen=True, slots=True)
class UmountTree:
    """umount2 without MNT_DETACH of a tree that is not one of the first two; NotATree if the target is none."""

    target: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class Bind:
    """A bind of one mount as a complete copy, where the kernel refuses it because `source` lies above locked mounts; else NotATree.

    Judged it is the whole call, recursive or not.
    """

    source: bytes
    target: bytes
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class OpenTree:
    """The same for open_tree(2): a descriptor of a complete copy. directory: of the caller's, -1 where the path needs none.

    set: MOUNT_ATTR_* flags of open_tree_attr(2), read-only for all of the copy.
    """

    directory: int
    path: bytes
    flags: int
    set: int = 0


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """mount_setattr(2) of a tree's mount, then the nodes below made to agree; NotATree if what `path` leads to is none."""

    directory: int
    path: bytes
    flags: int
    set: int
    clear: int
    propagation: int


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """fsconfig(2)'s CMD_RECONFIGURE of the caller's descriptor `context`, then all nodes of its mount namespace made to agree."""

    context: int


@dataclass(frozen=True, slots=True)
class Fsopen:
    """A descriptor of a context that the mounter will know again."""

    kind: TreeKind
    flags: int


@dataclass(frozen=True, slots=True)
class Fsmount:
    """A descriptor of a locked tree, mounted of the caller's descriptor `context`; NotATree if that is no context of Fsopen."""

    context: int
    flags: int
    attributes: int


@dataclass(frozen=True, slots=True)
class MountNew:
    """mount(2) of a new file system with these copies, all of them. The target is what is held of it, by its path for options.

    device: the caller's descriptor of /dev/fuse that the options name as held.DEVICE, -1 for none.
    """

    target: bytes
    flags: int
    options: bytes
    source: bytes
    fstype: bytes
    device: int = -1


@dataclass(frozen=True, slots=True)
class FsopenOf:
    """A descriptor of a context of the file system `name`, neither procfs nor sysfs."""

    name: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class Move:
    """move_mount(2) of what is held. flags: MOVE_MOUNT_BENEATH, MOVE_MOUNT_SET_GROUP."""

    source: bytes
    target: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class MakeNode:
    """mknod(2) of a device that every container has: a new file `name` in the directory held first, and the held `node` bound to it."""

    name: bytes
    node: bytes


ByPath: TypeAlias = MountTree | RemountBind | RemountSuperblock | UmountTree | Bind | MountNew | Move | MakeNode
ByDescriptor: TypeAlias = OpenTree | SetAttributes | Reconfigure | Fsopen | FsopenOf | Fsmount  # the caller's, or one is given to it
Effect: TypeAlias = ByPath | ByDescriptor
ONCE = (MountTree, Bind)  # where the mount lies still that the same call has made before, nothing is done
COPIES = (Bind, OpenTree)  # of a mount, and of those below it where the kernel or the caller wants that
FOLLOWED = (RemountBind, RemountSuperblock, SetAttributes, Reconfigure)  # by the nodes: not if the kernel does it alone
REPEATABLE = (MountTree, Bind, OpenTree, Fsopen, FsopenOf, Fsmount)  # undone or handed out later, where the caller was gone: it calls again


def in_itself(effect: Effect) -> Effect:
    """The same, of a copy without the mounts below."""
    match effect:
        case Bind():
            return replace(effect, recursive=False)
        case OpenTree(flags=flags):
            return replace(effect, flags=flags & ~AT_RECURSIVE)
        case _:
            return effect


@dataclass(frozen=True, slots=True)
class Deny:
    errno: int


@dataclass(frozen=True, slots=True)
class Emulate:
    """Do `effect` as the caller and answer with its result.

    `otherwise` says what holds if the target turns out to be no tree of ours: empty, the effect's errno stands; else the call is
    continued, and these kernel checks make every other content of memory harmless.
    """

    effect: Effect
    otherwise: frozenset[KernelCheck] = frozenset()


@dataclass(frozen=True, slots=True)
class Named:
    """What a call names. directory: the caller's descriptor that the path starts at, -1 where it needs none; an empty path: that itself."""

    path: bytes
    directory: int = -1
    follow: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """Look up `names` as the caller, then, if the admin's rules have nothing against what they led to, do `effect` with that.

    effect: its paths are held(number) of a name, from 1 on; sources, targets: the numbers of those that the rules are about. What the
    caller's root is stands behind the names.
    """

    effect: Effect
    names: tuple[Named, ...]
    sources: tuple[int, ...] = ()
    targets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DenyType:
    """EPERM, or ENODEV where the kernel knows no such file system."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Continue:
    checks: frozenset[KernelCheck]


@dataclass(frozen=True, slots=True)
class Nest:
    """Continue, if another user namespace below the caller's would not be deeper than the admin allows; else ENOSPC."""

    checks: frozenset[KernelCheck]


Verdict: TypeAlias = Deny | DenyType | Emulate | Judged | Continue | Nest
