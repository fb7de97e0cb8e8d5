"""The new mount API, where a tree of ours may be concerned. Source: fs/namespace.c, fs/fsopen.c."""
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Continue, KernelCheck, Verdict


def fsmount(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """The kernel refuses a procfs or sysfs."""
    del call
    return Continue(otherwise)


def reconfigure(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """fsconfig's FSCONFIG_CMD_RECONFIGURE: the host's superblocks are refused by the kernel."""
    del call
    return Continue(otherwise)


def open_tree(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """A clone of one mount: above locked mounts it is the kernel's EINVAL."""
    del call
    return Continue(otherwise)


def open_tree_attr(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """The same."""
    del call
    return Continue(otherwise)


def mount_setattr(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Of one mount: what is locked stays."""
    del call
    return Continue(otherwise)
