"""Looking at the host from outside: what a container must not have changed, and what it must not leave."""
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SYS_PARTS = ("kernel", "vm", "fs", "dev")
# What moves by itself, or by anybody who opens a file or starts a process.
SYS_MOVING = re.compile(
    r"kernel/(random/.*|ns_last_pid|pty/nr|sched_domain/.*|perf_cpu_time_max_percent|perf_event_max_sample_rate|tainted"
    r"|hung_task_detect_count|hung_task_warnings)"
    r"|fs/(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota/.*|epoll/.*)|vm/(stat_refresh|lowmem_reserve_ratio)"
)
# Engines that run on this host besides mount and unmount when they like.
FOREIGN_MOUNT = re.compile(r"/overlay2?/|/netns/|/containers?/|/containerd/|/docker|/shm/")


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as far as it says whose it is."""

    pid: int
    comm: str
    command: str


def processes(*marks: str, programs: Path | None = None) -> list[Process]:
    """Processes that name one of `marks` in command line, environment, cgroup or mounts, or run a program below `programs`."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            texts = [(entry / name).read_bytes() for name in ("cmdline", "environ", "cgroup", "mountinfo")]
            ours = programs is not None and os.readlink(entry / "exe").startswith(f"{programs}/")
            if ours or any(mark.encode() in text for mark in marks for text in texts):
                command = texts[0].replace(b"\0", b" ").decode("utf-8", "replace").strip()
                found.append(Process(int(entry.name), (entry / "comm").read_text().strip(), command))
        except (FileNotFoundError, ProcessLookupError, OSError):
            continue  # gone meanwhile, or a kernel thread, which has no exe and no mounts
    return found


def mountinfo(pid: int | str = "self") -> list[str]:
    """The lines of a process' mountinfo, without the ids that differ from mount to mount."""
    return [line.split(" ", 2)[2] for line in (PROC / str(pid) / "mountinfo").read_text().splitlines()]


def own_mounts() -> set[str]:
    """The host's mounts but for those that other engines come and go with."""
    return {line for line in mountinfo() if not FOREIGN_MOUNT.search(line)}


def sysctls() -> dict[str, bytes]:
    """/proc/sys, but for what moves by itself."""
    found = {}
    for part in SYS_PARTS:
        for directory, _, names in os.walk(f"/proc/sys/{part}"):
            for name in names:
                path = os.path.join(directory, name)
                if SYS_MOVING.fullmatch(path.removeprefix("/proc/sys/")):
                    continue
                try:
                    found[path] = Path(path).read_bytes()
                except OSError:
                    continue  # write-only, or of a subsystem that is switched off
    return found


def listener_of(path: Path) -> int | None:
    """The process that listens on a SOCK_SEQPACKET socket, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        pid: int = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid


@contextmanager
def namespace_file(path: Path, kind: str) -> Iterator[Path]:
    """One of our own namespaces, which are the host's, bound on a file: a volume of it is the nearest that a container comes to it."""
    path.touch()
    subprocess.run(["mount", "--bind", f"/proc/self/ns/{kind}", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.unlink()


def cgroups_left(token: str) -> list[Path]:
    """Cgroup directories whose name has `token` in it, in any hierarchy."""
    return [Path(found) for found, _, _ in os.walk("/sys/fs/cgroup") if token in os.path.basename(found)]
