"""What each Ask of policy/table.py means: HANDLERS, by name. A handler is pure: the call and its copies in, a verdict out."""
from collections.abc import Callable, Mapping

from eci_supervisor.model.call_rules import CallRules
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Continue, KernelCheck, Verdict
from eci_supervisor.policy.rule import Ask
from eci_supervisor.policy.table import RULES
from eci_supervisor.seccomp.handlers.judged import bind_judged, move_judged, move_mount, open_tree_judged
from eci_supervisor.seccomp.handlers.mknod import mknod, mknodat
from eci_supervisor.seccomp.handlers.mount import bind, mount_tree, remount_bind, remount_superblock
from eci_supervisor.seccomp.handlers.mount_api import fsmount, fsopen, mount_setattr, open_tree, open_tree_attr, reconfigure
from eci_supervisor.seccomp.handlers.nest import nest
from eci_supervisor.seccomp.handlers.types import fsopen_type, mount_type
from eci_supervisor.seccomp.handlers.umount import old_umount, umount_tree

Handler = Callable[[Call, frozenset[KernelCheck]], Verdict]
RuledHandler = Callable[[Call, frozenset[KernelCheck], CallRules], Verdict]

HANDLERS: Mapping[str, Handler] = {
    "bind": bind,
    "bind_judged": bind_judged,
    "fsmount": fsmount,
    "fsopen": fsopen,
    "mknod": mknod,
    "mknodat": mknodat,
    "mount_setattr": mount_setattr,
    "mount_tree": mount_tree,
    "move_judged": move_judged,
    "move_mount": move_mount,
    "nest": nest,
    "open_tree": open_tree,
    "open_tree_attr": open_tree_attr,
    "open_tree_judged": open_tree_judged,
    "reconfigure": reconfigure,
    "remount_bind": remount_bind,
    "remount_superblock": remount_superblock,
    "umount_tree": umount_tree,
    "old_umount": old_umount,
}

# Those that ask what the admin wants.
RULED_HANDLERS: Mapping[str, RuledHandler] = {
    "fsopen_type": fsopen_type,
    "mount_type": mount_type,
}


def decide(call: Call, rules: CallRules) -> Verdict:
    """The verdict on a call that the serving thread handed on. Raises TypeError where its rule asks nobody.

    A call that it would have continued is handed on too, while the one before of the same thread is still being carried out.
    """
    action = RULES[call.rule].action
    if isinstance(action, Continue):
        return action
    if not isinstance(action, Ask):
        raise TypeError(f"rule {RULES[call.rule].name} asks no handler")
    if action.handler in RULED_HANDLERS:
        return RULED_HANDLERS[action.handler](call, action.otherwise, rules)
    return HANDLERS[action.handler](call, action.otherwise)
