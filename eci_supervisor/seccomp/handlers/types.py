"""New mounts under an admin's rule for file system types: judged on the one copy, and done with it. Source: fs/namespace.c, fs/fsopen.c."""
from errno import EFAULT, EPERM

from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.notification import Call
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import Continue, Deny, Emulate, FsopenOf, KernelCheck, MountNew, Verdict
from eci_supervisor.seccomp.handlers.mount import SOURCE, TYPE, MountCall, decoded, mount_tree
from eci_supervisor.seccomp.handlers.mount_api import FSOPEN_CLOEXEC, fsopen
from eci_supervisor.seccomp.handlers.texts import NOTHING, string_errno

TREES = frozenset(kind.value for kind in TreeKind)
LAYERS = (b"lowerdir", b"upperdir", b"workdir", b"lowerdir+", b"datadir+")
UNNAMED = b"none"  # the source of a mount that names none


def denied(types: MountTypes, name: bytes) -> bool:
    """What stands behind a dot is a file system's own ("fuse.sshfs"), the kernel looks at what is before it."""
    listed = name.partition(b".")[0].decode(errors="replace") in types.types
    return listed != types.allow


def relative_layers(options: bytes) -> bool:
    """Whether an overlay has a layer that is named from the caller's working directory, where the mounter does not stand."""
    pairs = (option.partition(b"=") for option in options.split(b","))
    return any(not layer.startswith(b"/") for key, _, value in pairs if key in LAYERS for layer in value.split(b":") if layer)


def mount_type(call: Call, otherwise: frozenset[KernelCheck], rules: CallRules) -> Verdict:
    """mount(2) of something new. A type that is NULL is so by register, and EINVAL."""
    if call.texts.get(TYPE, NOTHING).null:
        return Continue(otherwise)
    match decoded(call):
        case MountCall(fstype=fstype) if denied(rules.mount_types, fstype):
            return Deny(EPERM)
        case MountCall(fstype=fstype) if fstype in TREES:
            return mount_tree(call, frozenset())
        case MountCall(fstype=b"overlay", options=options) if relative_layers(options):
            return Deny(EPERM)
        case MountCall(target, fstype, flags, options):
            source = call.texts.get(SOURCE, NOTHING)
            return Emulate(MountNew(target, flags, options, UNNAMED if source.null else source.value, fstype))
        case deny:
            return deny


def fsopen_type(call: Call, otherwise: frozenset[KernelCheck], rules: CallRules) -> Verdict:
    """fsopen(2). What its context is of is settled by the copy."""
    name, flags = call.texts.get(0, NOTHING), call.args[1] & 0xFFFFFFFF
    if flags & ~FSOPEN_CLOEXEC:
        return Continue(otherwise)
    if name.null or name.errno:
        return Deny(string_errno(name) or EFAULT)
    if denied(rules.mount_types, name.value):
        return Deny(EPERM)
    # Not to be continued either where it is no tree: the kernel would read the name again.
    return fsopen(call, frozenset()) if name.value in TREES else Emulate(FsopenOf(name.value, flags))
