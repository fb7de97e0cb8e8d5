"""What the tests of the mounter do inside a container: functions that a task runs by name, each returning what it saw."""
import ctypes
import errno
import os
import pathlib
import struct
import threading
from collections.abc import Callable

from eci_supervisor.model.tree import Cover, Entry, TreeKind, TreePlan
from tests.kernel.contained import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MNT_DETACH,
    MS_BIND,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    NR_FSCONFIG,
    NR_FSMOUNT,
    NR_FSOPEN,
    NR_MOVE_MOUNT,
    NR_OPEN_TREE,
    NR_OPEN_TREE_ATTR,
    mount,
    umount,
    unshare,
)
from tests.support import filtered

VIRTUAL = "virtual\n"
CLONE, RECURSIVE = 0x1, 0x8000
CAP_SETGID, CAP_SYS_ADMIN = 6, 21
NODES = {"proc/uptime": VIRTUAL, "proc/meminfo": "memory\n", "proc/sys/vm/overcommit_memory": "7\n", "sys/fs": ""}
PROC = TreePlan(TreeKind.PROC, (
    Entry(b"bus", Cover.READONLY), Entry(b"no/such", Cover.READONLY), Entry(b"uptime", Cover.NODE, 1), Entry(b"meminfo", Cover.NODE, 2),
    Entry(b"sys/vm/overcommit_memory", Cover.NODE, 3), Entry(b"kallsyms", Cover.MASK), Entry(b"acpi", Cover.MASK), Entry(b"fs", Cover.MASK),
))
READ_ONLY_SYS = TreePlan(TreeKind.PROC, (Entry(b"sys", Cover.READONLY), *PROC.entries))
SYSFS = TreePlan(TreeKind.SYSFS, (Entry(b"devices/system/cpu/online", Cover.SELF), Entry(b"firmware", Cover.MASK)), read_only=True)


def name(result: int) -> str:
    """The errno's name of a negative result, else "ok"."""
    return "ok" if result >= 0 else errno.errorcode[-result]


def opened(path: str) -> str:
    """What open(O_WRONLY) says."""
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        return name(-(error.errno or 0))
    return "ok"


def read(path: str) -> str:
    return pathlib.Path(path).read_text()


def recipe() -> dict[str, str]:
    """The table of recipes/locked_tree.py, nobody supervising."""
    seen = {
        "virtual node reads": read("/proc/uptime"),
        "umount virtual node": name(umount(b"/proc/uptime")),
        "lazy umount virtual node": name(umount(b"/proc/uptime", MNT_DETACH)),
        "umount ro volume": name(umount(b"/ro")),
        "remount ro volume rw": name(mount(None, b"/ro", None, MS_REMOUNT | MS_BIND)),
        "bind ro volume elsewhere": name(mount(b"/ro", b"/a", None, MS_BIND)),
        "then remount that rw": name(mount(None, b"/a", None, MS_REMOUNT | MS_BIND)),
        "bind /proc without its nodes": name(mount(b"/proc", b"/b", None, MS_BIND)),
        "clone /proc without its nodes": name(filtered.syscall(NR_OPEN_TREE, -100, b"/proc", 1)),
        "fresh procfs": name(mount(b"proc", b"/b", b"proc", 0)),
        "fresh procfs, subset=pid": name(mount(b"proc", b"/b", b"proc", 0, b"subset=pid")),
        "fresh procfs by fsmount": fsmount(b"proc"),
        "fresh sysfs": name(mount(b"sysfs", b"/b", b"sysfs", 0)),
        "read-only fresh sysfs": name(mount(b"sysfs", b"/b", b"sysfs", MS_RDONLY)),
    }
    unshare(CLONE_NEWNS)
    return seen | {
        "umount virtual node in a nested namespace": name(umount(b"/proc/uptime")),
        "lazy umount of all of /proc there": name(umount(b"/proc", MNT_DETACH)),
        "then a fresh procfs": name(mount(b"proc", b"/proc", b"proc", 0)),
    }


RECIPE = {
    "virtual node reads": VIRTUAL, "umount virtual node": "EINVAL", "lazy umount virtual node": "EINVAL", "umount ro volume": "EINVAL",
    "remount ro volume rw": "EPERM", "bind ro volume elsewhere": "ok", "then remount that rw": "EPERM",
    "bind /proc without its nodes": "EINVAL", "clone /proc without its nodes": "EINVAL", "fresh procfs": "EPERM",
    "fresh procfs, subset=pid": "EPERM", "fresh procfs by fsmount": "EPERM", "fresh sysfs": "EPERM", "read-only fresh sysfs": "EPERM",
    "umount virtual node in a nested namespace": "EINVAL", "lazy umount of all of /proc there": "ok", "then a fresh procfs": "EPERM",
}


def fsmount(fstype: bytes) -> str:
    context = filtered.syscall(NR_FSOPEN, fstype, 1)
    filtered.syscall(NR_FSCONFIG, context, 6, None, None, 0)
    return name(filtered.syscall(NR_FSMOUNT, context, 0, 0))


def look_around() -> dict[str, object]:
    """The first trees. What is read-only is asked of the mount table: most of it root of the host owns anyway."""
    read_only = [target for target in ("/proc/kallsyms", "/proc/acpi", "/proc/bus", "/proc", "/sys", "/sys/devices/system/cpu/online",
                                       "/sys/fs/cgroup", "/run/late") if flags_of(target).startswith("ro")]
    return {
        "masks": (read("/proc/kallsyms"), os.listdir("/proc/acpi"), os.listdir("/proc/fs"), os.listdir("/sys/firmware")),
        "read-only": read_only,
        "tunable": opened("/proc/sys/vm/overcommit_memory"),
        "written as container root": [read(f"/proc/sys/{path}").strip() for path in (
            "kernel/domainname", "kernel/msgmax", "net/ipv4/conf/lo/forwarding", "net/ipv4/ip_unprivileged_port_start")],
        "network": os.listdir("/sys/class/net"),
        "cgroup": os.listdir("/sys/fs/cgroup"),
        "late": read("/run/late/file"),
    }


LOOKED_AROUND: dict[str, object] = {
    "masks": ("", [], [], []),
    "read-only": ["/proc/kallsyms", "/proc/acpi", "/proc/bus", "/sys", "/sys/devices/system/cpu/online", "/run/late"],
    "tunable": "ok", "written as container root": ["inside", "4096", "1", "0"], "network": ["lo"], "cgroup": ["memory"], "late": "late\n",
}


def mounted(target: str, flags: int = 0, options: str | None = None, at: str = "/a") -> tuple[str, str]:
    """mount(2) of a procfs at `target` in a mount namespace of its own; what /uptime below `at` then says."""
    unshare(CLONE_NEWNS)
    os.chdir("/tmp")
    result = name(mount(b"proc", target.encode(), b"proc", flags, options.encode() if options is not None else None))
    try:
        return result, read(f"{at}/uptime")
    except FileNotFoundError:
        return result, ""


def mounted_on_descriptor(form: str) -> tuple[str, str, list[str]]:
    """The same with a target like /proc/self/fd/%d, under a link for /dev/fd."""
    unshare(CLONE_NEWNS)
    mount(b"dev", b"/dev", b"tmpfs", 0)
    os.symlink("/proc/self/fd", "/dev/fd")
    os.symlink("/dev/fd", "/dev/link")
    fd = os.open("/a", os.O_PATH)
    result = name(mount(b"proc", (form % fd).encode(), b"proc", 0))
    os.close(fd)
    return result, read("/a/uptime"), [name(umount(b"/a", MNT_DETACH)), name(umount(b"/a"))]


def in_thread(form: str) -> tuple[str, str, list[str]]:
    """A thread that is not its process's first, with descriptors of its own."""
    seen: list[tuple[str, str, list[str]]] = []

    def body() -> None:
        unshare(0x400 | 0x200)  # CLONE_FILES, CLONE_FS
        seen.append(mounted_on_descriptor(form))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return seen[0]


def errors() -> list[str]:
    """In the kernel's order: path, flags, authority, options, the rest."""
    unshare(CLONE_NEWNS)
    pathlib.Path("/tmp/file").touch()
    os.symlink("loop", "/tmp/loop")
    os.makedirs("/tmp/gone", exist_ok=True)
    tries: list[tuple[bytes, bytes | None]] = [
        (b"/nowhere", b"bogus=1"), (b"/tmp/file", None), (b"/tmp/file/", None), (b"/tmp/file/x", None), (b"/tmp/loop", None),
        (b"/" + b"x" * 256, None), (b"/tmp" + b"/." * 2000 + b"/gone", None), (b"/a", b"bogus=1"), (b"/a", b"bogus"),
        (b"/tmp/file", b"bogus"), (b"/a", b"hidepid=9"), (b"/a", b"pidns=/proc/self/ns/pid"), (b"/a", b"hidepid"),
        (b"/proc/self/fd/99", None), (b"/proc/self/fdinfo/0", None), (b"/proc/1/root/a", None), (b"/a", b",,ro,=,"),
    ]
    return [name(mount(b"proc", target, b"proc", 0, options)) for target, options in tries]


ERRORS = ["ENOENT", "ENOTDIR", "ENOTDIR", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ok", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL",
          "EINVAL", "ENOENT", "ENOTDIR", "EINVAL", "ok"]  # /proc/1/root is in another mount namespace


def drop(capability: int) -> None:
    """From the calling thread's effective set alone."""
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # _LINUX_CAPABILITY_VERSION_3
    filtered.LIBC.capget(header, data)
    data[0] &= ~(1 << capability)
    filtered.LIBC.capset(header, data)


def without_capability() -> list[str]:
    """Path errors first, then EPERM, and nothing is mounted."""
    unshare(CLONE_NEWNS)
    drop(CAP_SYS_ADMIN)
    results = [mount(b"proc", b"/nowhere", b"proc", 0), mount(b"proc", b"/a", b"proc", 0), mount(b"proc", b"/a", b"proc", 0, b"hidepid=2"),
               umount(b"/proc"), mount(None, b"/proc", None, MS_REMOUNT | MS_BIND | MS_RDONLY)]
    return [*map(name, results), str(os.listdir("/a"))]


def jailed() -> list[str]:
    """In a chroot whose links point out of it."""
    unshare(CLONE_NEWNS)
    os.makedirs("/tmp/jail/proc")
    os.symlink("/proc", "/tmp/jail/link")
    os.chroot("/tmp/jail")
    os.chdir("/")
    results = [mount(b"proc", target, b"proc", 0) for target in (b"/../link/", b"/proc/../../../proc", b"/proc/1/cwd/nowhere")]
    return [*map(name, results), read("/proc/uptime"), name(umount(b"../../proc")), name(umount(b"/proc/self/root/proc")),
            str(os.listdir("/proc"))]


def in_child(body: Callable[[], object]) -> str:
    """repr of what `body` returns in a forked child: the first of a pid namespace, say."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.write(writer, repr(body()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()


def new_user_namespace(flags: int, uid: int = 0) -> None:
    """In which this process, of `uid` and the gid of the same number, is root and all there is."""
    unshare(CLONE_NEWUSER | flags)
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {uid} 1")):
        pathlib.Path(f"/proc/self/{file}").write_text(text)


def nested_with_pids() -> str:
    """An unprivileged inner container: user, mount and pid namespace of its own. The kernel alone says EPERM."""
    new_user_namespace(CLONE_NEWNS | CLONE_NEWPID)

    def first() -> list[object]:
        fd = os.open("/b", os.O_PATH)
        results = [mount(b"proc", b"/a", b"proc", 0), mount(b"proc", b"/proc/self/fd/%d" % fd, b"proc", 0)]
        mount(b"/a", b"/proc", None, MS_BIND | MS_REC)
        inner = mount(b"proc", b"/proc/self/fd/%d" % fd, b"proc", 0)
        return [*map(name, results), name(inner), read("/a/uptime"), read("/b/uptime"), os.readlink("/a/self"),
                name(umount(b"/a/uptime", MNT_DETACH)), name(umount(b"/b"))]

    return in_child(first)


def nested_without_pids() -> list[str]:
    """Without a pid or network namespace of its own it has no right to show one."""
    new_user_namespace(CLONE_NEWNS)
    return [name(mount(b"proc", b"/a", b"proc", 0)), name(mount(b"proc", b"/a", b"proc", 0, b"hidepid=2")),
            name(mount(b"sysfs", b"/a", b"sysfs", 0))]


def sysfs() -> list[object]:
    """sysfs is one superblock a network namespace."""
    unshare(CLONE_NEWNS)
    seen: list[object] = [name(mount(b"sysfs", b"/sys", b"sysfs", 0)), name(mount(b"sysfs", b"/a", b"sysfs", 0))]
    seen += [os.listdir("/a/firmware"), name(umount(b"/a")), name(umount(b"/sys"))]
    unshare(CLONE_NEWNET)
    seen += [name(mount(b"sysfs", b"/sys", b"sysfs", 0)), os.listdir("/sys/class/net"), os.listdir("/sys/firmware"),
             name(mount(None, b"/sys", None, MS_REMOUNT)), name(umount(b"/sys"))]
    return seen


SYSFS_SEEN = ["EBUSY", "ok", [], "ok", "EBUSY", "ok", ["lo"], [], "EPERM", "ok"]


def remounts() -> list[str]:
    """Read-only reaches the nodes and can be undone; what the spec made read-only cannot."""
    unshare(CLONE_NEWNS)
    both = "/a/uptime", "/a/sys/vm/overcommit_memory"
    seen = [name(mount(b"proc", b"/a", b"proc", 0)), *map(opened, both)]
    for flags in (MS_REMOUNT | MS_BIND | MS_RDONLY, MS_REMOUNT | MS_BIND, MS_REMOUNT | MS_RDONLY, MS_REMOUNT):
        seen += [name(mount(None, b"/a", None, flags)), *map(opened, both)]
    seen += [name(mount(None, b"/a", None, MS_REMOUNT, options)) for options in (b"hidepid=2", b"bogus=1")] + [*map(opened, both)]
    seen += [name(mount(None, b"/a/bus", None, MS_REMOUNT | MS_BIND)), name(mount(None, b"/a/kallsyms", None, MS_REMOUNT | MS_BIND))]
    return seen


REMOUNTS = ["ok", "ok", "ok", "ok", "EROFS", "EROFS", "ok", "ok", "ok", "ok", "EROFS", "EROFS", "ok", "ok", "ok",
            "ok", "EINVAL", "ok", "ok", "EPERM", "EPERM"]


def inner_runtime() -> list[str]:
    """readonlyPaths as runc makes them: a recursive bind of /proc/sys on itself, then one remount."""
    unshare(CLONE_NEWNS)
    node = "/a/sys/vm/overcommit_memory"
    seen = [name(mount(b"proc", b"/a", b"proc", 0)), name(mount(b"/a/sys", b"/a/sys", None, MS_BIND | MS_REC)), opened(node)]
    seen += [name(mount(None, b"/a/sys", None, MS_REMOUNT | MS_BIND | MS_RDONLY)), opened(node), opened("/a/uptime")]
    seen += [name(mount(None, b"/a", None, MS_REMOUNT | MS_BIND | MS_RDONLY)), name(mount(None, b"/a", None, MS_REMOUNT | MS_BIND))]
    return [*seen, opened(node), opened("/a/uptime"), opened("/proc/sys/vm/overcommit_memory")]


INNER_RUNTIME = ["ok", "ok", "ok", "ok", "EROFS", "ok", "ok", "ok", "EROFS", "ok", "ok"]


def umounts() -> list[str]:
    unshare(0)
    seen = [name(umount(target)) for target in (b"/proc", b"/sys", b"/proc/uptime", b"/proc/acpi", b"/a")]
    seen += [name(mount(b"proc", b"/a", b"proc", 0)), name(mount(b"cover", b"/a/bus", b"tmpfs", 0)), name(umount(b"/a")),
             name(umount(b"/a/bus")), name(umount(b"/a", 4)), name(umount(b"/a")), name(umount(b"/a"))]
    os.symlink("/a", "/tmp/to-a")
    seen += [name(mount(b"proc", b"/tmp/to-a", b"proc", 0)), name(umount(b"/tmp/to-a", 8)), name(umount(b"/tmp/to-a"))]
    return [*seen, name(mount(b"/proc", b"/a", None, MS_BIND | MS_REC)), name(umount(b"/a")), name(umount(b"/a"))]


UMOUNTS = ["EBUSY", "EBUSY", "EINVAL", "EINVAL", "EINVAL", "ok", "ok", "EBUSY", "ok", "EBUSY", "ok", "EINVAL", "ok", "EINVAL", "ok",
           "ok", "ok", "EINVAL"]


def flags_of(target: str) -> str:
    """Mount options and superblock options of the mount at `target`, as /proc/self/mountinfo has them."""
    for line in read("/proc/self/mountinfo").splitlines():
        if line.split()[4] == target:
            return f"{line.split()[5]} {line.split()[-1]}"
    return ""


def with_options() -> list[str]:
    unshare(CLONE_NEWNS)
    seen = [name(mount(b"proc", b"/a", b"proc", 2 | 4 | 8 | 1, b"hidepid=2,gid=5")), flags_of("/a"), opened("/a/uptime")]
    seen += [name(mount(None, b"/a", None, MS_REMOUNT | MS_BIND)), flags_of("/a"), opened("/a/uptime")]
    seen += [name(mount(b"proc", b"/b", b"proc", 1024)), flags_of("/b"), name(mount(None, b"/b", None, MS_REMOUNT | MS_BIND | (1 << 24)))]
    seen += [name(mount(b"proc", b"/b", b"proc", 0, b"subset=pid")), str(os.path.exists("/b/uptime")), fsmount(b"proc")]
    return seen


WITH_OPTIONS = ["ok", "ro,nosuid,nodev,noexec,relatime rw,gid=100005,hidepid=invisible", "EROFS",
                "ok", "rw,relatime rw,gid=100005,hidepid=invisible", "ok", "ok", "rw,noatime rw", "EPERM", "ok", "False", "EPERM"]


def hung_fuse() -> None:
    """A FUSE mount at /b whose server answers the first request, INIT, and takes all others without a word, until the container ends."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    assert mount(b"hung", b"/b", b"fuse", 0, b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd) == 0
    unique, = struct.unpack_from("=Q", os.read(fd, 1 << 16), 8)
    os.write(fd, struct.pack("=IiQ4I48x", 16 + 64, 0, unique, 7, 31, 0, 0))
    if os.fork() == 0:
        os.dup2(fd, 3)
        os.closerange(4, 64)  # whoever waits for the task's result waits for the last of its descriptors
        while os.read(3, 1 << 16):
            pass


def mounted_at(target: str) -> str:
    return name(mount(b"proc", target.encode(), b"proc", 0))


def clone(flags: int, set_: int = 0, clear: int = 0) -> int:
    """open_tree_attr(2) of /proc."""
    return filtered.syscall(NR_OPEN_TREE_ATTR, -100, b"/proc", flags, struct.pack("=QQQQ", set_, clear, 0, 0), 32)


def clones_with_flags() -> list[str]:
    """Not recursive, which is EINVAL without us, and with more to be set than flags; then recursive, which is the kernel's."""
    plain = clone(CLONE, 1)
    seen = [name(plain), read(f"/proc/self/fd/{plain}/uptime"), opened(f"/proc/self/fd/{plain}/uptime"), opened("/proc/uptime")]
    seen += [name(filtered.syscall(NR_MOVE_MOUNT, plain, b"", -100, b"/a", 4)), opened("/a/uptime"), name(umount(b"/a"))]
    whole = clone(CLONE | RECURSIVE)
    return [*seen, read(f"/proc/self/fd/{whole}/uptime"), *(name(clone(flags, 0, 1)) for flags in (CLONE, CLONE | RECURSIVE))]


CLONES_SEEN = ["ok", VIRTUAL, "EROFS", "ok", "ok", "EROFS", "ok", VIRTUAL, "EINVAL", "EPERM"]


def many_clones(count: int) -> list[object]:
    """Held open at once, none attached: how many show the nodes, and what attaching the first, the second and the last says."""
    held = [filtered.syscall(NR_OPEN_TREE, -100, b"/proc", CLONE) for _ in range(count)]
    filtered.syscall(NR_OPEN_TREE, -100, b"/nowhere", CLONE)  # the mounter has closed the first when it looks at this
    shown = sum(read(f"/proc/self/fd/{fd}/uptime") == VIRTUAL for fd in held)
    return [shown, *(name(filtered.syscall(NR_MOVE_MOUNT, fd, b"", -100, b"/a", 4)) for fd in (held[0], held[1], held[-1]))]
