"""Programs of the host, in a root file system for containers: each with the libraries its loader wants."""
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support.rootfs import copy_root


def libraries(program: Path) -> list[Path]:
    """What ldd says `program` is loaded with; none for a static one."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", told)]


def add_programs(root: Path, names: Iterable[str]) -> None:
    """Copies programs that are in PATH here to /usr/bin there, before busybox' applets in its PATH. Raises FileNotFoundError."""
    for name in names:
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(f"no program {name} in PATH")
        add_program(root, Path(found), f"usr/bin/{name}")


def add_program(root: Path, program: Path, to: str = "") -> None:
    """One program, where it is here or at `to`, and its libraries."""
    for source, place in ((program, to or str(program)), *((library, str(library)) for library in libraries(program))):
        target = root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.resolve(), target)


def software_root(image: Path, directory: Path, names: Iterable[str]) -> Path:
    """A copy of the busybox root with `names` in it."""
    directory.mkdir()
    copy_root(image, directory)
    (directory / "run").mkdir(exist_ok=True)
    add_programs(directory, names)
    return directory
