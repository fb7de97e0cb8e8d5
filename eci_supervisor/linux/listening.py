"""Unix sockets as files of the host: which one a path leads to, and on which a process listens. Source: proc(5), /proc/net/unix."""
import os
import stat
from contextlib import suppress

from eci_supervisor.linux.openat2 import AT_FDCWD, RESOLVE_NO_MAGICLINKS, openat2

_ACCEPTING = 0x10000  # __SO_ACCEPTCON. Source: include/uapi/linux/net.h


def socket_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the socket that a path leads to; None for what is none, or not there."""
    try:
        with openat2(AT_FDCWD, path, os.O_PATH, RESOLVE_NO_MAGICLINKS) as fd:
            found = os.stat(fd.fileno())
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def listening_paths(pid: int) -> tuple[str, ...]:
    """The absolute paths by which a process' listening sockets were made, by itself or by who handed them on; () if it is gone."""
    held = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                held.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(" ", 7) for line in file.readlines()[1:]]
    except OSError:
        return ()
    # Num RefCount Protocol Flags Type St Inode Path; the number of the inode is padded to five columns.
    found = [(words[3], " ".join(words[6:]).split(None, 1)) for words in lines if len(words) > 6]
    return tuple(dict.fromkeys(rest[1] for flags, rest in found if int(flags, 16) & _ACCEPTING and len(rest) == 2
                               and rest[1].startswith("/") and f"socket:[{rest[0]}]" in held))  # fmt: skip


def listener(path: str, program: str) -> int:
    """The process of that name which listens on a socket, though somebody else may have made it; 0 if there is none."""
    wanted = socket_identity(path)
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc") if wanted else ())):
        with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:
            if name.read().strip() == program and wanted in map(socket_identity, listening_paths(pid)):
                return pid
    return 0
