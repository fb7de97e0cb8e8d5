"""A machine out of a recording of tests/vm: one moment of it as a directory, read by the same code as the real one."""
import re
from pathlib import Path

from tests.support.machine import Machine

RECORDINGS = Path(__file__).parent.parent / "data/cgroup_v2"
FILE = re.compile(r"(?m)^==> (\w+) (\S+) <==\n")
POINT = "/sys/fs/cgroup"


class Recorded(Machine):
    """`moment()` puts the files of another moment in the place of those that are there."""

    def moment(self, name: str) -> int:
        """The container's init."""
        texts = files("debian-6.1.txt", name)
        for path, text in texts.items():
            self.write(path, text.replace(f" {POINT} ", f" {self.top}{POINT} ") if path.endswith("mountinfo") else text)
        return int(texts["init"])

    def cgroup_text(self, name: str, group: str = "pod/web") -> str:
        return (self.top / f".{POINT}" / group / name).read_text()


def files(recording: str, moment: str) -> dict[str, str]:
    """Texts by path without the first slash."""
    _, *rest = FILE.split((RECORDINGS / recording).read_text())
    return {path: text for name, path, text in zip(rest[::3], rest[1::3], rest[2::3], strict=True) if name == moment}
