"""The real runtime: what it is called with. Pure."""
from dataclasses import dataclass

from eci_supervisor.oci.argv import CommandLine

QUIET = frozenset({"log", "log-format", "debug"})
VALUED = frozenset({"root", "log", "log-format", "criu", "rootless", "cgroup-manager"})


@dataclass(frozen=True, slots=True)
class RealRuntime:
    """runc or crun, by its absolute path."""

    path: str

    @property
    def is_crun(self) -> bool:
        return "crun" in self.path.rpartition("/")[2]

    def default_root(self) -> str:
        """Where it keeps its containers without --root, called by root."""
        return "/run/crun" if self.is_crun else "/run/runc"

    def delete(self, line: CommandLine) -> list[str]:
        """`delete --force` of the same container. Without the engine's log: what this has to say is not what went wrong."""
        kept: list[str] = []
        at = 0
        while at < len(line.before):
            name, equals, _ = line.before[at].lstrip("-").partition("=")
            words = 1 if equals or name not in VALUED else 2
            if name not in QUIET:
                kept += line.before[at:at + words]
            at += words
        return [self.path, *kept, "delete", "--force", line.id]


def absolute_root(line: CommandLine, runtime: RealRuntime, directory: str) -> str:
    """--root as it identifies a container, without a slash at its end; `directory`: the working directory."""
    root = line.root or runtime.default_root()
    if not root.startswith("/"):
        root = f"{directory}/{root}"
    return root.rstrip("/") or "/"
