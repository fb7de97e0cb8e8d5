"""Lines on what a container starts with: /v a read-only volume, /w a writable one, /n a writable one without set-uid."""
import os
import struct

from tests.container.inside.calls import (
    BIND,
    DETACH,
    FORCE,
    HERE,
    MAGIC,
    MOUNT_SETATTR,
    MOVE,
    NEWNS,
    NEWPID,
    NOATIME,
    NOSUID,
    OPEN_TREE_ATTR,
    PIVOT_ROOT,
    PRIVATE,
    RDONLY,
    REC,
    RECURSIVE,
    REMOUNT,
    SHARED,
    below,
    call,
    flags_of,
    mount,
    name,
    new_user_namespace,
    open_tree,
    opened,
    setattr_,
    umount,
)  # fmt: skip
from tests.container.inside.procfs import T2, T, in_child

V, W = "/v", "/w"
WRITABLE = struct.pack("=QQQQ", 0, RDONLY, 0, 0)


def write(path: str) -> str:
    return opened(f"{path}/new", os.O_CREAT | os.O_WRONLY)


def line_42() -> object:
    return [umount(target, flags) for target in (V, "/") for flags in (0, DETACH, FORCE, 4, 8)]


def line_43() -> object:
    ways = (REMOUNT, REMOUNT | BIND, REMOUNT | BIND | MOVE, REMOUNT | BIND | SHARED, REMOUNT | BIND | PRIVATE | REC,
            MAGIC | REMOUNT | BIND, REMOUNT | MOVE)
    return [mount("proc", V, "proc", flags) for flags in ways], write(V)


def line_44() -> object:
    seen = [setattr_(V, 0, RDONLY, flags) for flags in (0, RECURSIVE)]
    fd = open_tree(V)
    seen += [name(call(MOUNT_SETATTR, fd, b"", 0x1000, WRITABLE, 32)), opened(f"/proc/self/fd/{fd}/new", os.O_CREAT | os.O_WRONLY)]
    attr = call(OPEN_TREE_ATTR, HERE, V, 1, WRITABLE, 32)
    return [*seen, name(attr), name(call(OPEN_TREE_ATTR, HERE, V, 1 | RECURSIVE, WRITABLE, 32)), write(V)]


def line_45() -> object:
    seen = []
    for source in (V, f"{V}/sub"):
        seen += [mount(source, T, None, BIND), mount(None, T, None, REMOUNT | BIND), write(T), setattr_(T, 0, RDONLY), umount(T)]
    return seen


def line_46() -> object:
    seen = [write(W), mount(None, W, None, REMOUNT | BIND | RDONLY | kept(W)), write(W)]
    seen += [mount(None, W, None, REMOUNT | BIND | kept(W)), write(W), mount(None, W, None, REMOUNT | BIND | NOATIME | kept(W))]
    return [*seen, setattr_(W, RDONLY), write(W), setattr_(W, 0, RDONLY), write(W)]


def kept(path: str) -> int:
    """The flags it was given at start: a remount has to repeat them."""
    numbers = {"nosuid": NOSUID, "nodev": 4, "noexec": 8}
    return sum(numbers[flag] for flag in flags_of(path) & numbers.keys())


def line_47() -> object:
    seen: list[object] = [mount(None, W, None, REMOUNT | BIND | NOSUID | kept(W)), "nosuid" in flags_of(W), setattr_(W, 0, NOSUID)]
    return [*seen, "nosuid" in flags_of(W), setattr_("/n", 0, NOSUID), mount(None, "/n", None, REMOUNT | BIND), "nosuid" in flags_of("/n")]


def line_48() -> object:
    return mount("x", V, "tmpfs"), write(V), umount(V), write(V), umount(V)


def read_only_root() -> object:
    ways = [mount(None, "/", None, flags | kept("/")) for flags in (REMOUNT, REMOUNT | BIND)]
    return [*ways, setattr_("/", 0, RDONLY), write("/")]


def line_49() -> object:
    def nested() -> object:
        new_user_namespace(NEWNS | NEWPID)
        return in_child(read_only_root)

    def pivoted() -> object:
        flags = kept("/")
        seen: list[object] = [mount(None, "/", None, PRIVATE | REC), mount("x", T, "tmpfs")]
        os.mkdir(f"{T}/old")
        seen.append(name(call(PIVOT_ROOT, T, f"{T}/old")))
        return [*seen, mount(None, "/old", None, REMOUNT | BIND | flags), setattr_("/old", 0, RDONLY), write("/old")]

    return read_only_root(), in_child(nested), in_child(pivoted)


def line_50() -> object:
    mount(None, "/", None, PRIVATE | REC)
    seen = [mount(V, T, None, MOVE), name(call(PIVOT_ROOT, V, f"{V}/sub")), mount(V, T2, None, BIND)]
    os.chdir(T2)
    return [*seen, name(call(PIVOT_ROOT, ".", "sub"))]


def line_52() -> object:
    seen = [setattr_("/", RDONLY, 0, RECURSIVE), write(W), write(T)]
    return [*seen, setattr_("/", 0, RDONLY, RECURSIVE), setattr_("/", 0, RDONLY), write(T), len(below("/proc")) > 0]
