"""Lines on the virtual procfs and sysfs: what each did, for the test to compare. T is an empty directory, N a virtual file."""
import os
import pathlib
import threading
from collections.abc import Callable

from tests.container.inside.calls import (
    BIND,
    DETACH,
    EXPIRE,
    FS,
    MOVE,
    NEWNET,
    NEWNS,
    NEWPID,
    NODEV,
    NOEXEC,
    NOSUID,
    PIVOT_ROOT,
    PRIVATE,
    RDONLY,
    REC,
    RECURSIVE,
    REMOUNT,
    SHARED,
    SLAVE,
    UNBINDABLE,
    attach,
    below,
    call,
    context,
    flags_of,
    fsmount,
    magic,
    mount,
    name,
    new_user_namespace,
    open_tree,
    opened,
    reconfigure,
    setattr_,
    umount,
    unshare,
    virtual,
)  # fmt: skip

T, T2, N, BASE = "/t", "/mnt", "sys/fs/file-max", NOSUID | NODEV | NOEXEC


def proc(target: str = T, flags: int = 0, options: str | None = None) -> str:
    return mount("proc", target, "proc", flags, options)


def bind(source: str, target: str, flags: int = 0) -> str:
    return mount(source, target, None, BIND | flags)


def in_child(body: Callable[[], object]) -> str:
    """repr of what `body` returns in a forked process."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            said = repr(body())
        except BaseException as error:  # noqa: BLE001 # the test shows it
            said = repr(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()


def same() -> bool:
    """T shows what /proc shows."""
    return bool(below(T)) and below(T) == below("/proc") and virtual(T)


def line_01() -> object:
    seen = [proc(), same(), umount(T)]
    return [*seen, attach(fsmount(context("proc")), T), same(), umount(T), below(T)]


def line_02() -> object:
    seen: list[object] = []
    ways: tuple[Callable[[], str], ...] = (
        lambda: proc(T, RDONLY), lambda: attach(fsmount(context("proc"), 1, RDONLY), T), lambda: attach(fsmount(context("proc", "ro")), T))
    for made in ways:
        seen += [made(), opened(f"{T}/{N}"), opened(f"/proc/{N}"), umount(T)]
    return seen


def line_03() -> object:
    return proc(T, RDONLY), mount(None, T, None, REMOUNT | BIND), opened(f"{T}/{N}"), same()


def line_04() -> object:
    asked = {"nosuid", "nodev", "noexec"}
    seen: list[object] = [proc(T, NOSUID | NODEV | NOEXEC), asked <= flags_of(T), mount(None, T, None, REMOUNT | BIND)]
    seen += [asked & flags_of(T) == set(), umount(T), attach(fsmount(context("proc"), 1, NOSUID | NODEV | NOEXEC), T)]
    return [*seen, asked <= flags_of(T), mount(None, T, None, REMOUNT | BIND), asked & flags_of(T) == set()]


def sees_init() -> str:
    def as_user() -> bool:
        os.setgid(1000)
        os.setuid(1000)
        return os.path.exists(f"{T}/1")

    return f"{in_child(as_user)} {os.path.exists(f'{T}/1')}"


def line_05() -> object:
    seen = [proc(T, 0, "hidepid=2"), sees_init(), umount(T), proc(), sees_init(), mount(None, T, None, REMOUNT, "hidepid=2"), sees_init()]
    seen += [umount(T), attach(fsmount(context("proc", "hidepid=2")), T), sees_init(), reconfigure(T, "hidepid=0"), sees_init()]
    return [*seen, virtual(T)]


def line_06() -> object:
    seen: list[object] = [proc(T, 0, "subset=pid"), os.path.exists(f"{T}/uptime"), os.path.exists(f"{T}/self/status"), umount(T)]
    return [*seen, attach(fsmount(context("proc", "subset=pid")), T), os.path.exists(f"{T}/uptime"), os.path.exists(f"{T}/self/status")]


def line_07() -> object:
    return proc(T, 0, "bogus=1"), name(context("proc", "bogus=1")), os.listdir(T)


def line_08() -> object:
    seen: list[object] = [proc(), proc(), umount(T), virtual(T), umount(T), os.listdir(T), umount(T)]
    return [*seen, mount("sysfs", T, "sysfs"), mount("sysfs", T, "sysfs"), umount(T), umount(T)]


def line_09() -> object:
    before = pathlib.Path("/proc", N).read_text()
    proc()
    pathlib.Path(T, N).write_text("654321\n")
    seen = pathlib.Path("/proc", N).read_text()
    pathlib.Path("/proc", N).write_text(before)
    return seen, pathlib.Path(T, N).read_text() == before


def line_10() -> object:
    seen: list[object] = [proc(), umount(T), below(T), umount("/proc"), umount("/sys"), umount("/proc", EXPIRE)]
    return [*seen, proc(), umount(T, EXPIRE), umount(T)]


line_10.in_place = True  # type: ignore[attr-defined]


def line_11() -> object:
    seen = [proc()] + [umount(f"{tree}/uptime", flags) for tree in (T, "/proc") for flags in (0, DETACH, EXPIRE, 1, 8)]
    return [*seen, same()]


def line_12() -> object:
    return umount("/proc", DETACH), os.listdir("/proc"), proc("/proc"), virtual("/proc")


def line_13() -> object:
    seen: list[object] = [proc()]
    os.chdir(T)
    return [*seen, umount(T), magic("uptime") == 0x65735546, umount(T)]


def line_14() -> object:
    return proc(), mount("x", f"{T}/bus", "tmpfs"), umount(T), umount(f"{T}/bus"), umount(T), os.listdir(T)


def line_15() -> object:
    return bind("/proc", T), same(), umount(T), bind("/proc", T, REC), same(), umount(T), os.listdir(T)


def line_16() -> object:
    fd = open_tree("/proc")
    path = f"/proc/self/fd/{fd}"
    return virtual(path), attach(fd, T), same(), umount(T), name(open_tree("")), name(open_tree("/nowhere"))


def line_17() -> object:
    before = below("/proc")
    return bind("/proc/sys", "/proc/sys"), virtual("/proc", N), umount("/proc/sys"), virtual("/proc", N), below("/proc") == before


def line_18() -> object:
    seen = [bind("/proc/sys/net/core", T), len([x for x in below("") if x.startswith(T)]), umount(T)]
    pathlib.Path("/tmp/file").touch()
    return [*seen, bind("/proc/uptime", "/tmp/file"), magic("/tmp/file") == 0x65735546, umount("/tmp/file"), umount("/tmp/file")]


def line_19() -> object:
    seen = [bind("/dev/null", "/proc/uptime"), pathlib.Path("/proc/uptime").read_text(), umount("/proc/uptime"), virtual("/proc")]
    return [*seen, umount("/proc/uptime")]


def line_20() -> object:
    mount(None, "/", None, PRIVATE | REC)
    return proc(), mount(T, T2, None, MOVE), virtual(T2), os.listdir(T), umount(T2)


def line_21() -> object:
    seen = [bind("/proc/sys", "/proc/sys", REC), opened(f"/proc/{N}"), mount(None, "/proc/sys", None, REMOUNT | BIND | RDONLY | BASE)]
    return [*seen, opened(f"/proc/{N}"), virtual("/proc", N)]


def line_22() -> object:
    seen: list[object] = []
    lists = []
    for flags in (0, RECURSIVE):
        seen += [proc(), setattr_(T, RDONLY, 0, flags), opened(f"{T}/{N}"), "ro" in flags_of(T)]
        lists.append(below(T))
        seen += [setattr_(T, 0, RDONLY, flags), opened(f"{T}/{N}"), umount(T)]
    return [*seen, lists[0] == lists[1]]


def line_23() -> object:
    seen: list[object] = []
    for tree in (T, "/proc"):
        seen += [proc() if tree == T else "", reconfigure(tree, "ro"), opened(f"{tree}/{N}"), opened(f"{tree}/self/comm")]
        seen += [reconfigure(tree, "rw"), opened(f"{tree}/{N}"), opened(f"{tree}/self/comm")]
    return seen


def line_24() -> object:
    seen = [mount(None, "/sys", None, REMOUNT | RDONLY), mount(None, "/sys", None, REMOUNT | BIND | RDONLY | BASE)]
    seen.append(str("ro" in flags_of("/sys")))
    return [*seen, opened(f"/proc/{N}"), reconfigure("/sys", "ro")]


def line_25() -> object:
    seen: list[object] = [mount(None, "/", None, SHARED | REC), bind("/proc", T, REC)]

    def peer() -> object:
        unshare(NEWNS)
        return virtual(T), umount(T, DETACH)

    return [*seen, in_child(peer), os.listdir(T)]


def line_26() -> object:
    mount(None, "/", None, SHARED | REC)
    here, there = os.pipe(), os.pipe()

    def peer() -> object:
        unshare(NEWNS)
        seen = [mount(None, "/", None, SLAVE | REC), proc(T2)]
        os.write(there[1], b"x")
        os.read(here[0], 1)
        return [*seen, virtual(T)]

    if os.fork() == 0:
        os.write(there[1], repr(peer()).encode())
        os._exit(0)
    os.read(there[0], 1)
    seen: list[object] = [os.listdir(T2), proc()]
    os.write(here[1], b"x")
    return [*seen, os.read(there[0], 4096).decode()]


def line_27() -> object:
    seen: list[object] = [proc(), mount(None, T, None, UNBINDABLE | REC), bind(T, T2, REC), umount(T)]
    seen += [proc(), mount(None, T, None, UNBINDABLE), bind("/", T2, REC), virtual(f"{T2}/proc"), os.listdir(f"{T2}{T}")]
    return seen


def line_28() -> object:
    before = below("/proc")
    os.makedirs("/tmp/jail/proc", exist_ok=True)

    def jailed() -> object:
        os.chroot("/tmp/jail")
        os.chdir("/")
        return proc("/proc"), virtual("/proc"), attach(fsmount(context("proc")), "/../proc"), virtual("/proc")

    return in_child(jailed), below("/proc") == before


def line_29() -> object:
    def inner() -> object:
        unshare(NEWNS)
        return proc(), virtual(T)

    return in_child(inner), os.listdir(T)


def nested_with_pids() -> object:
    def first() -> object:
        made = proc("/proc"), os.readlink("/proc/self"), virtual("/proc"), attach(fsmount(context("proc")), T), virtual(T)
        return *made, os.readlink(f"{T}/self"), umount(f"{T}/uptime", DETACH), name(open_tree(T)), umount(T)

    new_user_namespace(NEWNS | NEWPID)
    return in_child(first)


def line_30() -> object:
    return in_child(nested_with_pids)


def line_31() -> object:
    def nested() -> object:
        new_user_namespace(NEWNS)
        return proc(), name(context("proc")), name(context("proc", create=False)), mount("sysfs", T, "sysfs"), name(context("sysfs"))

    return in_child(nested)


def line_32() -> object:
    mount(None, "/", None, PRIVATE | REC)
    seen = [mount("x", T, "tmpfs")]
    os.makedirs(f"{T}/proc")
    os.makedirs(f"{T}/old")
    seen.append(name(call(PIVOT_ROOT, T, f"{T}/old")))
    os.chdir("/")
    seen += [umount("/old/proc/uptime"), umount("/old", DETACH), proc("/proc"), str(virtual("/proc"))]
    return [*seen, umount("/proc"), attach(fsmount(context("proc")), "/proc"), str(virtual("/proc"))]


def line_35() -> object:
    before = [entry for entry in below("/sys") if "cgroup" not in entry]
    unshare(NEWNET)
    seen: list[object] = [mount("sysfs", T, "sysfs"), os.listdir(f"{T}/class/net"), below(T) == before, umount(T)]
    return [*seen, attach(fsmount(context("sysfs")), T), os.listdir(f"{T}/class/net"), below(T) == before, umount(T)]


def line_67() -> object:
    """A thread with a root of its own; without the capability another is refused."""
    seen: list[object] = []
    os.makedirs("/tmp/own/proc", exist_ok=True)

    def body() -> None:
        unshare(FS)
        os.chroot("/tmp/own")
        os.chdir("/")
        seen.extend([proc("/proc"), magic("/proc/uptime") == 0x65735546, name(call(117, 1000, 1000, 1000)), proc("/proc"), umount("/proc")])

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return [*seen, os.listdir("/tmp/own/proc") != [], proc("/tmp"), virtual("/tmp")]
