"""Long runs that are not part of `make test`: their last result lies in bench/results, and is worth nothing once the code has changed."""
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.driver import REPOSITORY

RESULTS = REPOSITORY / "bench/results"


def code(path: Path) -> bytes:
    """What of a file can make a run come out otherwise: of C not the comments, of neither language the blank lines."""
    text = path.read_text()
    if path.suffix in (".c", ".h"):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()).encode()


def digest(paths: Iterable[Path]) -> str:
    """Of the files' names and code."""
    text = hashlib.sha256()
    for path in sorted(paths):
        text.update(f"{path.relative_to(REPOSITORY)}\n".encode() + code(path))
    return text.hexdigest()


def record(lane: str, covered: Iterable[Path], facts: dict[str, object]) -> None:
    """Writes the result of a run that has just ended well."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{lane}.json").write_text(json.dumps({**facts, "covered": digest(covered)}, indent=1) + "\n")


def last(lane: str) -> dict[str, object]:
    """What the last run that ended well has left."""
    facts: dict[str, object] = json.loads((RESULTS / f"{lane}.json").read_text())
    return facts


def is_current(lane: str, covered: Iterable[Path]) -> bool:
    """Whether that was a run of the code as it is."""
    return last(lane)["covered"] == digest(covered)
