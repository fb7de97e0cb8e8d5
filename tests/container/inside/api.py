"""Lines on the new mount API by direct calls, and on the ways a path can be given."""
import ctypes
import fcntl
import mmap
import os
import socket
import threading
from collections.abc import Callable

from tests.container.inside.calls import (
    BIND,
    EMPTY_PATH,
    FILES,
    FSCONFIG,
    FSOPEN,
    MAGIC,
    MOUNT,
    MOUNT_SETATTR,
    NEWIPC,
    NEWNS,
    NEWPID,
    NOFOLLOW,
    OPEN_TREE,
    RDONLY,
    RECONFIGURE,
    REMOUNT,
    SHARED,
    TMPFS,
    UMOUNT2,
    attach,
    below,
    call,
    context,
    fsmount,
    magic,
    mount,
    name,
    new_user_namespace,
    open_tree,
    opened,
    setattr_,
    umount,
    unshare,
    virtual,
)  # fmt: skip
from tests.container.inside.procfs import T2, N, T, in_child, proc

KEPT: list[object] = []


def line_36() -> object:
    fd = fsmount(context("proc"))
    return virtual(f"/proc/self/fd/{fd}"), opened(f"/proc/self/fd/{fd}/{N}"), name(open_tree("", CLONE_EMPTY, fd)), below(T)


CLONE_EMPTY = 1 | EMPTY_PATH


def line_36_attributes() -> object:
    """Attributes of a tree that is not attached yet reach its nodes."""
    fd = fsmount(context("proc"))
    return setattr_("", RDONLY, 0, EMPTY_PATH, fd), attach(fd, T), opened(f"{T}/{N}"), opened(f"{T}/self/comm"), virtual(T)


def line_37() -> object:
    made = context("proc")
    seen = [name(fsmount(made)), name(fsmount(made)), name(fsmount(context("proc", create=False))), name(fsmount(99)), name(fsmount(0))]
    return [*seen, name(fsmount(context("proc"), 8)), name(fsmount(context("proc"), 1, 1 << 30)), name(fsmount(context("tmpfs"), 8))]


def line_38() -> object:
    return [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in (fsmount(context("proc"), 1), fsmount(context("proc"), 0), call(FSOPEN, "proc", 0))]


def line_39() -> object:
    seen: list[object] = [attach(fsmount(context("tmpfs", "size=4096")), T), magic(T) == TMPFS]
    for directory in ("lower", "upper", "work"):
        os.mkdir(f"{T}/{directory}")
    overlay = context("overlay", f"lowerdir={T}/lower", f"upperdir={T}/upper", f"workdir={T}/work")
    seen += [attach(fsmount(overlay), T2), opened(f"{T2}/new", os.O_CREAT | os.O_WRONLY), os.listdir(f"{T}/upper")]
    seen += [attach(fsmount(context("devpts", "newinstance")), T2), os.path.exists(f"{T2}/ptmx")]
    unshare(NEWIPC)
    return [*seen, attach(fsmount(context("mqueue")), T2)]


def line_40() -> object:
    seen = [name(context("ext4", "source=/dev/null")), name(context("nosuch")), name(call(FSOPEN, 0, 0)), name(call(FSOPEN, "proc", 8))]
    return [*seen, name(call(FSCONFIG, -1, RECONFIGURE, None, None, 0)), name(call(FSCONFIG, 99, RECONFIGURE, None, None, 0)),
            name(call(FSCONFIG, 0, RECONFIGURE, None, None, 0)), name(call(FSCONFIG, 0, RECONFIGURE, "x", None, 0)),
            name(call(FSCONFIG, context("proc"), RECONFIGURE, None, None, 0)), name(call(FSCONFIG, context("tmpfs"), 99, None, None, 0))]


def line_41() -> object:
    ours, theirs = socket.socketpair()

    def nested() -> None:
        new_user_namespace(NEWNS | NEWPID)
        in_child(lambda: socket.send_fds(theirs, [b"x"], [context("proc")]))

    in_child(nested)
    fd = socket.recv_fds(ours, 1, 1)[1][0]
    seen = [attach(fsmount(fd), T), virtual(T)]
    return [*seen, sorted(entry for entry in os.listdir(T) if entry.isdigit())]


def at_edge(text: bytes) -> int:
    """The address of a string that ends right before a hole."""
    area = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    KEPT.append(area)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0)
    place = mmap.PAGESIZE - len(text)
    area[place : mmap.PAGESIZE] = text
    return start + place


def line_54() -> object:
    seen = [name(call(MOUNT, at_edge(b"p\0"), at_edge(b"/t\0"), at_edge(b"proc\0"), 0, at_edge(b"hidepid=2\0"))), str(virtual(T))]
    seen += [name(call(MOUNT, at_edge(b"p\0"), at_edge(b"/t\0"), at_edge(b"proc\0"), 0, at_edge(b"hidepid=1")))]
    seen += [name(call(UMOUNT2, at_edge(b"/t\0"), 0))]
    seen += [name(call(MOUNT_SETATTR, -100, at_edge(b"/t\0"), 0, at_edge(bytes([1] + [0] * 31)), 32))]
    return [*seen, opened(f"{T}/{N}"), name(call(MOUNT_SETATTR, -100, at_edge(b"/t\0"), 0, at_edge(bytes([1] + [0] * 30)), 32)),
            name(call(FSOPEN, at_edge(b"proc\0"), 0)), name(call(OPEN_TREE, -100, at_edge(b"/proc\0"), 1))]


def line_61() -> object:
    fd = os.open(T, os.O_PATH)
    link = f"/proc/self/fd/{fd}"
    seen: list[object] = [mount("x", T, "tmpfs"), umount(link), magic(T) == TMPFS, proc(), umount(link), os.listdir(T)]
    seen += [proc(), mount("x", T, "tmpfs"), umount(link), virtual(T), umount(link), os.listdir(T)]
    seen += [proc()]
    inside = f"/proc/self/fd/{os.open(T, os.O_PATH)}"
    seen += [mount("x", T, "tmpfs"), umount(inside), virtual(T), umount(inside), os.listdir(T)]
    os.chdir(T)
    return [*seen, proc(), umount("."), os.listdir(T), umount(".")]


def line_62() -> object:
    def on(form: str) -> list[object]:
        target = form % os.open(T, os.O_PATH)
        seen: list[object] = [proc(target), virtual(T)]
        above = form % os.open(T, os.O_PATH)
        seen += [setattr_(above, RDONLY), opened(f"{T}/{N}"), name(open_tree(above)), mount(above, target, None, BIND), virtual(T)]
        return [*seen, mount(above, T2, None, BIND), virtual(T2), umount(T2), umount(above), umount(target), os.listdir(T)]

    seen: list[list[object]] = [on("/proc/self/fd/%d"), on("/proc/thread-self/fd/%d")]

    def own_table() -> None:
        unshare(FILES)
        fd = os.open(T, os.O_PATH)
        seen.append(on("/proc/thread-self/fd/%d"))
        seen.append([name(open_tree("", CLONE_EMPTY, fd)), attach(fsmount(context("proc")), T), virtual(T), umount(T)])

    thread = threading.Thread(target=own_table)
    thread.start()
    thread.join()
    return [seen[0], seen[1] == seen[0], seen[2] == seen[0], seen[3]]


def line_63() -> object:
    waiting = os.pipe()
    other = os.fork()
    if other == 0:
        os.close(waiting[1])
        os.read(waiting[0], 1)
        os._exit(0)
    seen = [proc(f"/proc/{other}/root{T}"), str(virtual(T)), umount(f"/proc/{other}/root{T}")]
    os.close(waiting[1])
    return seen


def line_64() -> object:
    os.makedirs("/tmp/gone", exist_ok=True)
    os.chdir("/tmp/gone")
    os.rmdir("/tmp/gone")
    seen = [proc("."), umount("."), name(open_tree("."))]
    os.chdir("/tmp")
    return [*seen, proc("../t"), str(virtual(T)), umount("../t"), proc("..//tmp/../t/."), umount(T)]


def line_65() -> object:
    for link, to in (("final", T), ("middle", "/"), ("loop", "loop")):
        if not os.path.islink(f"/tmp/{link}"):
            os.symlink(to, f"/tmp/{link}")
    seen = [proc("/tmp/final"), str(virtual(T)), umount("/tmp/final", NOFOLLOW), umount("/tmp/final"), proc("/tmp/middle/t"), umount(T)]
    seen += [proc("/tmp/loop"), umount("/tmp/loop"), name(open_tree("/tmp/loop"))]

    def jailed() -> object:
        os.makedirs("/tmp/jail2/t", exist_ok=True)
        if not os.path.islink("/tmp/jail2/out"):
            os.symlink("/t", "/tmp/jail2/out")
        os.chroot("/tmp/jail2")
        os.chdir("/")
        return proc("/out"), virtual("/t"), attach(fsmount(context("proc")), "/out"), umount("/out"), umount("/out")

    return [*seen, in_child(jailed), os.listdir(T)]


def errors() -> dict[str, str]:
    """In the kernel's order; the same in a plain user namespace."""
    path, long = "x" * 256, "/t" + "/." * 2500
    bad: list[tuple[str, Callable[[], int]]] = [
        ("55 long", lambda: call(MOUNT, "p", long, "proc", 0, None)), ("55 component", lambda: call(MOUNT, "p", path, "proc", 0, None)),
        ("55 type", lambda: call(MOUNT, "p", T, "x" * 5000, 0, None)), ("57 bit 31", lambda: call(MOUNT, "p", T, "proc", 1 << 31, None)),
        ("57 bit 40", lambda: call(MOUNT, "p", T, "tmpfs", 1 << 40, None)),
        ("57 shared", lambda: call(MOUNT, None, T, None, MAGIC | SHARED, None)),
        ("59 flag", lambda: call(UMOUNT2, 8, 0x10)), ("60 empty", lambda: call(UMOUNT2, "", 0)),
        ("60 no mount", lambda: call(UMOUNT2, T, 0)), ("60 file", lambda: call(UMOUNT2, "/etc/passwd/", 0)),
        ("bind of nothing", lambda: call(MOUNT, None, T, None, BIND, None)),
        ("bind of empty", lambda: call(MOUNT, "", T, None, BIND, None)),
        ("bind of missing", lambda: call(MOUNT, "/nowhere", T, None, BIND, None)),
        ("bind to missing", lambda: call(MOUNT, "/proc", "/nowhere", None, BIND, None)),
        ("bind on file", lambda: call(MOUNT, "/tmp", "/etc/passwd", None, BIND, None)),
        ("proc bound on file", lambda: call(MOUNT, "/proc", "/etc/passwd", None, BIND, None)),
        ("bind to NULL", lambda: call(MOUNT, "/proc", None, None, BIND, None)),
        ("remount no root", lambda: call(MOUNT, None, "/tmp", None, REMOUNT | BIND | RDONLY, None)),
        ("open_tree NULL", lambda: call(OPEN_TREE, -100, None, 1)), ("open_tree empty", lambda: call(OPEN_TREE, -100, "", 1)),
        ("open_tree flags", lambda: call(OPEN_TREE, -100, T, 1 | 1 << 30)), ("open_tree fd", lambda: call(OPEN_TREE, 99, "t", 1)),
        ("open_tree empty fd", lambda: call(OPEN_TREE, 99, "", CLONE_EMPTY)), ("open_tree bad", lambda: call(OPEN_TREE, -100, 8, 1)),
        ("open_tree fd of a file", lambda: call(OPEN_TREE, os.open("/etc/passwd", os.O_PATH), "t", 1)),
        ("setattr size", lambda: call(MOUNT_SETATTR, -100, T, 0, bytes(8), 8)),
        ("setattr page", lambda: call(MOUNT_SETATTR, -100, T, 0, 8, 5000)),
        ("setattr huge", lambda: call(MOUNT_SETATTR, -100, T, 0, 8, 1 << 62)),
        ("setattr bad", lambda: call(MOUNT_SETATTR, -100, T, 0, 8, 32)),
        ("setattr tail", lambda: call(MOUNT_SETATTR, -100, T, 0, bytes([1] + [0] * 39 + [1]), 41)),
        ("setattr nothing", lambda: call(MOUNT_SETATTR, -100, "/nowhere", 0, bytes(32), 32)),
        ("setattr missing", lambda: call(MOUNT_SETATTR, -100, "/nowhere", 0, bytes([1] + [0] * 31), 32)),
        ("setattr unknown", lambda: call(MOUNT_SETATTR, -100, "/", 0, bytes([1, 0, 0, 0, 0, 0, 0, 1] + [0] * 24), 32)),
        ("setattr no root", lambda: call(MOUNT_SETATTR, -100, "/tmp", 0, bytes([1] + [0] * 31), 32)),
        ("setattr flags", lambda: call(MOUNT_SETATTR, -100, T, 1 << 30, bytes([1] + [0] * 31), 32)),
        ("setattr propagation", lambda: call(MOUNT_SETATTR, -100, "/", 0, bytes([1] + [0] * 17 + [12] + [0] * 13), 32)),
    ]
    return {key: name(run()) for key, run in bad}


def line_53() -> object:
    def unprivileged() -> object:
        os.setgid(1000)
        os.setuid(1000)
        more = {"56 missing": proc("/nowhere"), "56 there": proc(), "56 unknown": mount("x", T, "nosuch"), "fsmount": name(fsmount(99))}
        return errors() | more

    return errors(), in_child(unprivileged)


def line_57() -> object:
    return mount("p", T, "proc", MAGIC | 1 << 40), virtual(T), umount(T, 0xFFFFFFFF00000002 - (1 << 64)), os.listdir(T)


