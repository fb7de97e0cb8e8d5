"""RULES: for each system call what the filter does, what the C path answers, what needs a handler, and why.

Read by policy/profile.py (the OCI section), policy/rows.py (the C rows), seccomp/handlers and policy/page.py (docs/policy.md); which of
them a container has is policy/chosen.py's. For one call the first rule that fits wins; a notified call without one is answered EIO. What
is in no rule stays as the engine's profile has it.

Flags of mount(2) are tested in the order of the kernel's path_mount(): REMOUNT and BIND, REMOUNT, BIND, propagation, MOVE, new; before
that MS_MGC_VAL is stripped, and any of bits 31 to 63 is EINVAL.
"""
from errno import EINVAL, ENOSYS, EPERM

from eci_supervisor.model.verdict import Continue, KernelCheck
from eci_supervisor.policy.arch import Abi
from eci_supervisor.policy.rule import Allow, Ask, Errno, Floor, Kind, Masked, Only, Refuse, Rule, Sysinfo, TextIs

LOCK, REVEAL, TYPE = frozenset({KernelCheck.LOCK}), frozenset({KernelCheck.REVEAL}), frozenset({KernelCheck.TYPE})
OWNER, NSCAP, HOSTCAP = frozenset({KernelCheck.OWNER}), frozenset({KernelCheck.NSCAP}), frozenset({KernelCheck.HOSTCAP})
NOTHING: frozenset[KernelCheck] = frozenset()
ALL = (Masked(arg=0, mask=0, value=0),)

# mount(2), arg 3. Source: include/uapi/linux/mount.h.
REMOUNT, BIND, MOVE, REC = 0x20, 0x1000, 0x2000, 0x4000
PROPAGATION = 0xF << 17  # UNBINDABLE, PRIVATE, SLAVE, SHARED
INVALID = 0xFFFFFFFF80000000  # MS_NOUSER, an int: its sign goes to bit 63
NEW = INVALID | REMOUNT | BIND | PROPAGATION | MOVE
# The filter cannot strip MS_MGC_VAL, which sets bit 31 and hides PRIVATE and SLAVE: unless a lower bit decides, it leaves that to C.
MAGIC = 1 << 31
PASSED_PROPAGATION = tuple(Masked(3, MAGIC | REMOUNT | BIND | bit, bit) for bit in (1 << 17, 1 << 18, 1 << 19, 1 << 20))
TREES = TextIs(arg=2, names=(b"proc", b"sysfs"))
CONTEXTS = TextIs(arg=0, names=TREES.names)
# Source, target, type, data: all, since the kernel copies them before it looks at the flags.
STRINGS, DATA = (0, 1, 2, 4), (4,)
# umount2(2), arg 1.
DETACH, ANY_BUT_DETACH = 0x2, 0x1 | 0x4 | 0x8
# open_tree(2), arg 2: OPEN_TREE_CLONE, OPEN_TREE_NAMESPACE, AT_RECURSIVE; fsconfig(2), arg 1: FSCONFIG_CMD_RECONFIGURE.
CLONE_TREE, TREE_NAMESPACE, RECURSIVE, RECONFIGURE = 0x1, 0x2, 0x8000, 7
PATH, PATH_AND_STRUCT, STRUCT = (1,), (1, 3), (3,)
# unshare(2) and clone(2), arg 0. clone has no NEWTIME: that bit belongs to the signal sent at its end.
NEW_USER = 0x10000000
KINDS = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": NEW_USER, "pid": 0x20000000,
         "network": 0x40000000, "time": 0x80}
CLONE_KINDS = {kind: bit for kind, bit in KINDS.items() if kind != "time"}
NEEDS_CAPABILITY = "what a namespace needs is a capability in the caller's user namespace"
NO_TRACE = "its flags make no namespace"
OWN_DEVICES = "the admin lets null, zero, full, random, urandom and tty be made: as binds of the container's own"
PLACES = (Only.MOUNT_SOURCES, Only.MOUNT_TARGETS)
DEVICE_MASK, DEVICE = 0xB000, 0x2000  # of a mode, 16 bits: S_IFCHR and S_IFBLK, which differ in 0x4000
NO_DECODER = "no decoder for x32: as on a kernel without it"


def _flags(mask: int, value: int) -> Masked:
    return Masked(arg=3, mask=mask, value=value, kind=Kind.MOUNT_FLAGS)


def _int(arg: int, mask: int, value: int) -> Masked:
    return Masked(arg, mask, value, Kind.INT)


MOUNT = (
    Rule("mount.remount_bind", "mount", Ask("remount_bind", LOCK), when=_flags(INVALID | REMOUNT | BIND, REMOUNT | BIND),
         traps=(Masked(3, REMOUNT, REMOUNT),), reads=STRINGS, pages=DATA,
         why="nodes below a tree that turns read-only must turn read-only too; locked flags stay"),
    Rule("mount.remount", "mount", Ask("remount_superblock", LOCK | OWNER), when=_flags(INVALID | REMOUNT, REMOUNT),
         reads=STRINGS, pages=DATA, why="options of a procfs tree are the container's, its nodes must follow; the host's are EPERM"),
    Rule("mount.bind_judged", "mount", Ask("bind_judged", lane=True), when=_flags(INVALID | BIND, BIND),
         traps=(Masked(3, REMOUNT | BIND, BIND),), reads=STRINGS, pages=DATA, only=PLACES,
         why="the admin has a rule for sources or targets: what is bound is what was judged"),
    Rule("mount.bind_recursive", "mount", Continue(LOCK), when=_flags(INVALID | BIND | REC, BIND | REC), unless=PLACES,
         passes=(Masked(3, REMOUNT | BIND | REC, BIND | REC),), why="a recursive bind keeps its locks"),
    Rule("mount.bind", "mount", Ask("bind", LOCK, lane=True), when=_flags(INVALID | BIND, BIND), unless=PLACES,
         traps=(Masked(3, REMOUNT | BIND | REC, BIND),), reads=STRINGS, pages=DATA,
         why="above locked mounts it is made recursive: the kernel's EINVAL would break what binds a tree"),
    Rule("mount.type", "mount", Ask("mount_type", TYPE, lane=True), when=_flags(NEW, 0), reads=STRINGS, pages=DATA,
         only=(Only.MOUNT_TYPES, *PLACES), why="the admin has a rule for what is mounted, or where: it is mounted as the copy says"),
    Rule("mount.new_tree", "mount", Ask("mount_tree", lane=True), when=_flags(NEW, 0), text=TREES, reads=STRINGS, pages=DATA,
         why="a new procfs or sysfs must be a locked tree with the virtual nodes"),
    Rule("mount.new", "mount", Continue(TYPE | REVEAL), when=_flags(NEW, 0),
         traps=(Masked(3, MAGIC | REMOUNT | BIND | PROPAGATION | MOVE, 0),),
         why="types that a user namespace may not mount are EPERM, and so is a name that turns into proc meanwhile"),
    Rule("mount.move_judged", "mount", Ask("move_judged"), when=_flags(INVALID | PROPAGATION | MOVE, MOVE), only=PLACES,
         traps=(Masked(3, MAGIC | REMOUNT | BIND | PROPAGATION | MOVE, MOVE),), reads=STRINGS, pages=DATA,
         why="the admin has a rule for sources or targets: what is moved, and where to, is what was judged"),
    Rule("mount.move", "mount", Continue(LOCK), when=_flags(INVALID | PROPAGATION | MOVE, MOVE), unless=PLACES,
         passes=(Masked(3, MAGIC | REMOUNT | BIND | PROPAGATION | MOVE, MOVE),), why="a locked mount does not move"),
    Rule("mount.propagation", "mount", Continue(LOCK), when=_flags(INVALID, 0), passes=PASSED_PROPAGATION,
         why="propagation never unlocks a mount"),
    Rule("mount.invalid", "mount", Continue(NOTHING), traps=(Masked(3, MAGIC | REMOUNT | BIND, MAGIC),),
         why="bits 31 to 63 are EINVAL, by register"),

    Rule("umount2.detach", "umount2", Continue(LOCK), when=_int(1, DETACH, DETACH), passes=(_int(1, DETACH, DETACH),),
         why="a lazy umount takes a tree as a whole, and a locked mount not at all"),
    Rule("umount2.tree", "umount2", Ask("umount_tree", LOCK), when=_int(1, 0xFFFFFFFF & ~ANY_BUT_DETACH, 0),
         traps=(_int(1, DETACH, 0),), reads=(0,),
         why="a tree goes with its nodes in one call; without us they keep it busy"),
    Rule("umount2.invalid", "umount2", Continue(NOTHING), why="unknown flags are EINVAL, by register"),
    Rule("umount.tree", "umount", Ask("old_umount", LOCK), reads=(0,), abis=(Abi.I386,), why="umount2 with no flags"),
)

MOUNT_API = (
    Rule("fsopen.type", "fsopen", Ask("fsopen_type", TYPE), reads=(0,), only=(Only.MOUNT_TYPES, Only.MOUNT_SOURCES),
         why="the admin has a rule for file system types, or for the layers of an overlay: the context is of what the copy says"),
    Rule("fsopen.tree", "fsopen", Ask("fsopen", TYPE | REVEAL), text=CONTEXTS, reads=(0,),
         why="a context of a procfs or sysfs has to be known again when it is mounted"),
    Rule("fsopen", "fsopen", Continue(TYPE | REVEAL),
         why="a name that turns into proc meanwhile makes a context that the kernel does not mount"),
    Rule("fsconfig.reconfigure", "fsconfig", Ask("reconfigure", OWNER), when=_int(1, 0xFFFFFFFF, RECONFIGURE),
         why="a procfs that turns read-only must take its nodes along; the host's superblocks are EPERM"),
    Rule("fsconfig", "fsconfig", Allow(NSCAP), why="options of a context, and its superblock, show nothing without fsmount"),
    Rule("fsmount", "fsmount", Ask("fsmount", REVEAL),
         why="the descriptor of a procfs or sysfs must show a locked tree, attached or not"),
    Rule("move_mount.judged", "move_mount", Ask("move_mount", LOCK), reads=(1, 3), only=PLACES,
         why="the admin has a rule for sources or targets: what is moved, and where to, is what was judged"),
    Rule("move_mount", "move_mount", Allow(LOCK), why="a locked mount does not move, and nothing goes beneath one"),
    Rule("open_tree.namespace", "open_tree", Refuse(EINVAL), when=_int(2, TREE_NAMESPACE, TREE_NAMESPACE),
         why="as on a kernel without OPEN_TREE_NAMESPACE"),
    Rule("open_tree.judged", "open_tree", Ask("open_tree_judged", LOCK), when=_int(2, CLONE_TREE, CLONE_TREE), reads=PATH,
         only=(Only.MOUNT_SOURCES,), why="the admin has a rule for sources: the clone is of what was judged"),
    Rule("open_tree.clone", "open_tree", Ask("open_tree", LOCK), when=_int(2, RECURSIVE | CLONE_TREE, CLONE_TREE), reads=PATH,
         why="above locked mounts the clone is made recursive: the kernel's EINVAL would break what binds a tree"),
    Rule("open_tree", "open_tree", Allow(LOCK), why="a recursive clone keeps its locks, an O_PATH changes nothing"),
    Rule("open_tree_attr.namespace", "open_tree_attr", Refuse(EINVAL), when=_int(2, TREE_NAMESPACE, TREE_NAMESPACE),
         why="as on a kernel without OPEN_TREE_NAMESPACE"),
    Rule("open_tree_attr.no", "open_tree_attr", Refuse(EPERM), when=_int(2, CLONE_TREE, CLONE_TREE), only=(Only.MOUNT_SOURCES,),
         why="the admin has a rule for sources: open_tree and mount_setattr do the same"),
    Rule("open_tree_attr.clone", "open_tree_attr", Ask("open_tree_attr", LOCK), when=_int(2, RECURSIVE | CLONE_TREE, CLONE_TREE),
         reads=PATH_AND_STRUCT, structs=STRUCT, why="as open_tree; the copied attributes are set before the clone is given"),
    Rule("open_tree_attr", "open_tree_attr", Allow(LOCK), why="a recursive clone keeps its locks, and its locked flags"),
    Rule("mount_setattr.recursive", "mount_setattr", Allow(LOCK), when=_int(2, RECURSIVE, RECURSIVE),
         why="it takes the nodes along by itself; locked flags stay, or nothing changes"),
    Rule("mount_setattr", "mount_setattr", Ask("mount_setattr", LOCK), reads=PATH_AND_STRUCT, structs=STRUCT,
         why="nodes below a tree that turns read-only must turn read-only too; locked flags stay"),
    Rule("fspick", "fspick", Allow(OWNER), why="fsconfig's RECONFIGURE decides"),
    Rule("statmount", "statmount", Allow(NSCAP), why="tells no more than mountinfo"),
    Rule("listmount", "listmount", Allow(NSCAP), why="tells no more than mountinfo"),
)

NAMESPACES = (
    *(Rule(f"{call}.no_{kind}", call, Refuse(EPERM), when=Masked(0, bit, bit), only=(Only.NAMESPACES,), kind=kind,
           why=f"the admin wants no {kind} namespaces inside")
      for call, kinds in (("unshare", KINDS), ("clone", CLONE_KINDS)) for kind, bit in kinds.items()),
    Rule("unshare.nest", "unshare", Ask("nest", NSCAP), when=Masked(0, NEW_USER, NEW_USER), only=(Only.NESTED_DEPTH,),
         why="the depth of the caller's user namespace, which nobody else can change"),
    Rule("unshare.plain", "unshare", Allow(), when=Masked(0, sum(KINDS.values()), 0), why=NO_TRACE),
    Rule("unshare", "unshare", Continue(NSCAP), passes=ALL, why=NEEDS_CAPABILITY),
    Rule("clone.nest", "clone", Ask("nest", NSCAP), when=Masked(0, NEW_USER, NEW_USER), only=(Only.NESTED_DEPTH,),
         why="the depth of the caller's user namespace, which nobody else can change"),
    Rule("clone.plain", "clone", Allow(), when=Masked(0, sum(CLONE_KINDS.values()), 0), why=NO_TRACE),
    Rule("clone", "clone", Continue(NSCAP), passes=ALL, why=NEEDS_CAPABILITY),
    Rule("clone3.no", "clone3", Refuse(ENOSYS), only=(Only.NAMESPACES, Only.NESTED_DEPTH),
         why="its flags are in memory, so they cannot be judged: callers fall back to clone"),
    Rule("clone3", "clone3", Allow(NSCAP), why=NEEDS_CAPABILITY),
    Rule("setns", "setns", Continue(NSCAP), passes=ALL, reads=(0,),
         why="no namespace of the host is within reach, and joining one needs a capability in it"),
    Rule("pivot_root", "pivot_root", Allow(LOCK), why="a locked mount is no new root, and the old one keeps its locks"),
    Rule("chroot", "chroot", Allow(NSCAP), why="paths are resolved in the caller's root"),
)

OTHERS = (
    Rule("sysinfo", "sysinfo", Sysinfo(), abis=tuple(Abi), why="memory, uptime and load are the container's, as in its /proc"),
    Rule("mknod.device", "mknod", Ask("mknod", HOSTCAP), when=_int(1, DEVICE_MASK, DEVICE), reads=(0,), only=(Only.MKNOD,),
         why=OWN_DEVICES),
    Rule("mknod", "mknod", Allow(HOSTCAP), why="device nodes are EPERM in a user namespace; FIFOs and overlay's whiteouts are files"),
    Rule("mknodat.device", "mknodat", Ask("mknodat", HOSTCAP), when=_int(2, DEVICE_MASK, DEVICE), reads=(1,), only=(Only.MKNOD,),
         why=OWN_DEVICES),
    Rule("mknodat", "mknodat", Allow(HOSTCAP), why="device nodes are EPERM in a user namespace; FIFOs and overlay's whiteouts are files"),
    Rule("sethostname", "sethostname", Allow(NSCAP), why="the UTS namespace is the container's"),
    Rule("setdomainname", "setdomainname", Allow(NSCAP), why="the UTS namespace is the container's"),
    Rule("reboot", "reboot", Allow(NSCAP), why="it ends the init of the caller's pid namespace"),
    Rule("swapon", "swapon", Allow(HOSTCAP), why="the host's alone"),
    Rule("swapoff", "swapoff", Allow(HOSTCAP), why="the host's alone"),
    Rule("keyctl", "keyctl", Allow(NSCAP), why="keys and their quota go by the kernel's uid, and ranges are exclusive"),
    Rule("add_key", "add_key", Allow(NSCAP), why="keys and their quota go by the kernel's uid, and ranges are exclusive"),
    Rule("request_key", "request_key", Allow(NSCAP), why="keys and their quota go by the kernel's uid, and ranges are exclusive"),
    Rule("setxattr", "setxattr", Allow(HOSTCAP), why="trusted.* is the host's; overlay has user.overlay.*"),
    Rule("quotactl", "quotactl", Allow(HOSTCAP), why="the host's, and there is no device node to name"),
    Rule("quotactl_fd", "quotactl_fd", Allow(HOSTCAP), why="the host's, but for the caller's own ids"),
    Rule("sched_setscheduler", "sched_setscheduler", Allow(HOSTCAP), why="real-time needs the host's capability, or a limit"),
    Rule("sched_setattr", "sched_setattr", Allow(HOSTCAP), why="real-time needs the host's capability, or a limit"),
)

FLOORS = (
    Rule("floor.syslog", "syslog", Floor(EPERM), why="the kernel's log is the host's"),
    Rule("floor.bpf", "bpf", Floor(EPERM), why="programs in the kernel"),
    Rule("floor.perf", "perf_event_open", Floor(EPERM), why="measures the host, and a long list of past holes"),
    Rule("floor.uffd", "userfaultfd", Floor(EPERM), why="holds kernel code at a page fault for as long as it likes"),
    Rule("floor.handles", "open_by_handle_at", Floor(EPERM),
         why="finds namespaces by guessing: the host's tree in a container that joins this one's user namespace and has not pivoted yet"),
    Rule("floor.uring_setup", "io_uring_setup", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.uring_enter", "io_uring_enter", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.uring_register", "io_uring_register", Floor(EPERM), why="its requests pass no filter"),
    Rule("floor.init_module", "init_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.finit_module", "finit_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.delete_module", "delete_module", Floor(EPERM), why="code in the kernel"),
    Rule("floor.kexec_load", "kexec_load", Floor(EPERM), why="another kernel"),
    Rule("floor.kexec_file_load", "kexec_file_load", Floor(EPERM), why="another kernel"),
)

_VETTED = MOUNT + MOUNT_API + NAMESPACES + OTHERS
NOTIFYING = (Continue, Ask, Errno, Sysinfo)  # actions that need the listener
_X32 = tuple(
    Rule(f"x32.{call}", call, Errno(ENOSYS), abis=(Abi.X32,), why=NO_DECODER)
    for call in dict.fromkeys(rule.call for rule in _VETTED if isinstance(rule.action, NOTIFYING) and Abi.X86_64 in rule.abis)
    if call != "sysinfo"
)

RULES: tuple[Rule, ...] = _VETTED + _X32 + FLOORS
FLOOR = {rule.call: rule.action.errno for rule in FLOORS if isinstance(rule.action, Floor)}
