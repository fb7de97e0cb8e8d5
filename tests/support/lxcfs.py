"""An lxcfs of our own, mounted in a mount namespace of its own: what others show of the same cgroups."""
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Lxcfs:
    """`pid` is in the mount namespace in which `mountpoint` is one."""

    pid: int
    mountpoint: str

    def node(self, name: str) -> Path:
        """A file of it, as our own process reads it."""
        return Path(f"/proc/{self.pid}/root{self.mountpoint}/{name}")

    def output(self, init: int, *command: str) -> str:
        """What a command prints in the pid namespace of `init`."""
        return subprocess.run(self.command(init, *command), capture_output=True, text=True, check=True).stdout

    def command(self, init: int, *words: str) -> list[str]:
        """A command in the pid namespace of `init`: by that lxcfs knows whose numbers to show."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--pid=/proc/{init}/ns/pid", "--", *words]


@contextmanager
def lxcfs(*options: str) -> Iterator[Lxcfs]:
    """Ended by its pid, and with it the mount and its namespace."""
    with TemporaryDirectory(prefix="eci-lxcfs-") as directory:
        mountpoint = f"{directory}/m"
        os.mkdir(mountpoint)
        command = ["unshare", "--mount", "--propagation", "private", "lxcfs", "-f", "--pidfile", f"{directory}/pid", *options, mountpoint]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            made = Lxcfs(server.pid, mountpoint)
            try:
                wait_until(made.node("proc/uptime").exists, "lxcfs serves")
                yield made
            finally:
                server.kill()  # SIGINT between two looks of libfuse's loop is slept over
