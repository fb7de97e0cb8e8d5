"""System calls of the mount family for programs that run inside a container, with nothing but Python's own library there.

A call returns "OK", the errno's name, or a descriptor. Nothing here is imported by the tests themselves.
"""
import ctypes
import errno
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
MOUNT, UMOUNT2, PIVOT_ROOT = 165, 166, 155
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, MOUNT_SETATTR, OPEN_TREE_ATTR = 428, 429, 430, 431, 432, 433, 442, 467
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, NOATIME, BIND, MOVE, REC, SILENT = 1, 2, 4, 8, 32, 1024, 4096, 8192, 16384, 32768
UNBINDABLE, PRIVATE, SLAVE, SHARED, STRICTATIME, MAGIC = 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 24, 0xC0ED0000
FORCE, DETACH, EXPIRE, NOFOLLOW = 1, 2, 4, 8
FLAG, STRING, CREATE, RECONFIGURE = 0, 1, 6, 7
HERE, EMPTY_PATH, RECURSIVE, CLONE, CLOEXEC = -100, 0x1000, 0x8000, 1, 0x80000
NEWNS, NEWUSER, NEWPID, NEWNET, NEWIPC, FILES, FS = 0x20000, 0x10000000, 0x20000000, 0x40000000, 0x8000000, 0x400, 0x200
FUSE, PROC, SYSFS, TMPFS = 0x65735546, 0x9FA0, 0x62656572, 0x01021994
Path = str | bytes | int | None


def _value(arg: Path) -> object:
    return ctypes.c_long(arg) if isinstance(arg, int) else arg.encode() if isinstance(arg, str) else arg


def call(number: int, *args: Path) -> int:
    """The result, -errno if it failed."""
    result = LIBC.syscall(ctypes.c_long(number), *map(_value, args))
    return -ctypes.get_errno() if result == -1 else int(result)


def name(result: int) -> str:
    return "OK" if result >= 0 else errno.errorcode[-result]


def mount(source: Path, target: Path, fstype: Path, flags: int = 0, options: Path = None) -> str:
    return name(call(MOUNT, source, target, fstype, flags, options))


def umount(target: Path, flags: int = 0) -> str:
    return name(call(UMOUNT2, target, flags))


def context(fstype: str, *options: str, create: bool = True) -> int:
    """A configured context; an option without "=" is a flag."""
    fd = call(FSOPEN, fstype, 1)
    for option in options:
        key, equals, value = option.partition("=")
        if fd >= 0 and (failed := call(FSCONFIG, fd, STRING if equals else FLAG, key, value if equals else None, 0)) < 0:
            return failed
    failed = call(FSCONFIG, fd, CREATE, None, None, 0) if fd >= 0 and create else fd
    return failed if failed < 0 else fd


def fsmount(fd: int, flags: int = 1, attributes: int = 0) -> int:
    return call(FSMOUNT, fd, flags, attributes)


def attach(fd: int, target: str) -> str:
    return name(call(MOVE_MOUNT, fd, b"", HERE, target, 4))


def open_tree(path: str, flags: int = CLONE, directory: int = HERE) -> int:
    return call(OPEN_TREE, directory, path, flags | CLOEXEC)


def setattr_(path: str, to_set: int = 0, clear: int = 0, flags: int = 0, directory: int = HERE) -> str:
    return name(call(MOUNT_SETATTR, directory, path, flags, struct.pack("=QQQQ", to_set, clear, 0, 0), 32))


def reconfigure(path: str, *flags: str) -> str:
    """fspick, flags, RECONFIGURE."""
    fd = call(FSPICK, HERE, path, 1)
    for flag in flags if fd >= 0 else ():
        call(FSCONFIG, fd, STRING if "=" in flag else FLAG, flag.partition("=")[0], flag.partition("=")[2] or None, 0)
    return name(call(FSCONFIG, fd, RECONFIGURE, None, None, 0) if fd >= 0 else fd)


def unshare(flags: int) -> None:
    if LIBC.unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), "unshare")


def new_user_namespace(flags: int = 0) -> None:
    texts = ("setgroups", "deny"), ("uid_map", f"0 {os.geteuid()} 1"), ("gid_map", f"0 {os.getegid()} 1")
    unshare(NEWUSER | flags)
    for file, text in texts:
        with open(f"/proc/self/{file}", "w") as opened:
            opened.write(text)


def magic(path: str | int) -> int:
    """Of the file system, 0 if there is no such file."""
    result = ctypes.create_string_buffer(256)
    done = LIBC.fstatfs(path, result) if isinstance(path, int) else LIBC.statfs(path.encode(), result)
    return 0 if done < 0 else int(struct.unpack_from("=q", result.raw)[0])


def virtual(tree: str, node: str = "uptime") -> bool:
    return magic(f"{tree}/{node}") == FUSE


def table() -> list[list[str]]:
    with open("/proc/thread-self/mountinfo") as file:
        return [line.split() for line in file]


def below(path: str) -> list[str]:
    """What is mounted below `path`, relative to it, and whether read-only."""
    return sorted(f"{line[4][len(path):]} {line[5].split(',')[0]}" for line in table() if line[4].startswith(f"{path}/"))


def flags_of(path: str) -> set[str]:
    """The topmost mount's own."""
    return set(next((line[5] for line in reversed(table()) if line[4] == path), "").split(","))


def opened(path: str, how: int = os.O_WRONLY) -> str:
    """What open(2) says."""
    try:
        os.close(os.open(path, how))
    except OSError as error:
        return name(-(error.errno or 0))
    return "OK"
