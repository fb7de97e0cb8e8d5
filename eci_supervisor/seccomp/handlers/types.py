"""New mounts under an admin's rule for types, sources or targets: judged on the one copy, and done with it.

Source: fs/namespace.c, fs/fsopen.c.
"""
from errno import EFAULT, EINVAL, EPERM

from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.notification import Call
from eci_supervisor.model.tree import TreeKind
from eci_supervisor.model.verdict import (
    Continue,
    Deny,
    DenyType,
    Emulate,
    FsopenOf,
    Judged,
    KernelCheck,
    MountNew,
    MountTree,
    Named,
    Verdict,
)
from eci_supervisor.policy.chosen import wanted
from eci_supervisor.policy.rule import Only
from eci_supervisor.seccomp.handlers.mount import SOURCE, TYPE, MountCall, decoded
from eci_supervisor.seccomp.handlers.mount_api import FSOPEN_CLOEXEC, fsopen
from eci_supervisor.seccomp.handlers.texts import NOTHING, string_errno
from eci_supervisor.seccomp.held import held, in_options, rewritten, with_device

TREES = frozenset(kind.value for kind in TreeKind)
UNNAMED = b"none"  # the source of a mount that names none


def denied(types: MountTypes, name: bytes) -> bool:
    """What stands behind a dot is a file system's own ("fuse.sshfs"), the kernel looks at what is before it."""
    listed = name.partition(b".")[0].decode(errors="replace") in types.types
    return listed != types.allow


def mount_type(call: Call, otherwise: frozenset[KernelCheck], rules: CallRules) -> Verdict:
    """mount(2) of something new. A type that is NULL is so by register, and EINVAL."""
    if call.texts.get(TYPE, NOTHING).null:
        return Continue(otherwise)
    match decoded(call):
        case MountCall(fstype=fstype) if denied(rules.mount_types, fstype):
            return DenyType(fstype)
        case MountCall() as new:
            source = call.texts.get(SOURCE, NOTHING)
            return _new(new, UNNAMED if source.null else source.value, wanted(rules))
        case deny:
            return deny


def _new(new: MountCall, source: bytes, rules: frozenset[Only]) -> Verdict:
    """The target is judged, and so are the layers of an overlay, which are looked up where the caller stands."""
    if new.fstype in TREES:
        kind = TreeKind(new.fstype)
        if Only.MOUNT_TARGETS not in rules:
            return Emulate(MountTree(kind, new.target, new.flags, new.options))
        return Judged(MountTree(kind, held(1), new.flags, new.options), (Named(new.target),), targets=(1,))
    try:
        options, layers = rewritten(new.fstype, new.options, 2, every_layer=Only.MOUNT_SOURCES in rules)
    except ValueError:
        return Deny(EPERM)
    try:
        options, device = with_device(new.fstype, options)
    except ValueError:
        return Deny(EINVAL)
    effect = MountNew(in_options(1), new.flags, options, source, new.fstype, device)
    return Judged(effect, (Named(new.target), *layers), sources=tuple(range(2, 2 + len(layers))), targets=(1,))


def fsopen_type(call: Call, otherwise: frozenset[KernelCheck], rules: CallRules) -> Verdict:
    """fsopen(2). What its context is of is settled by the copy."""
    name, flags = call.texts.get(0, NOTHING), call.args[1] & 0xFFFFFFFF
    if flags & ~FSOPEN_CLOEXEC:
        return Continue(otherwise)
    if name.null or name.errno:
        return Deny(string_errno(name) or EFAULT)
    if denied(rules.mount_types, name.value):
        return DenyType(name.value)
    if rules.mount_sources and name.value.partition(b".")[0] == b"overlay":
        return Deny(EPERM)  # its layers would be named one by one, from memory; mount(2) has them all
    # Not to be continued either where it is no tree: the kernel would read the name again.
    return fsopen(call, frozenset()) if name.value in TREES else Emulate(FsopenOf(name.value, flags))
