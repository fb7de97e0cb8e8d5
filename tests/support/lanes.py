"""Long runs that are not part of `make test`: their last result lies in bench/results, and is worth nothing once the code has changed."""
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tests.support.driver import REPOSITORY

RESULTS = REPOSITORY / "bench/results"


def digest(paths: Iterable[Path]) -> str:
    """Of the files' names and contents."""
    text = hashlib.sha256()
    for path in sorted(paths):
        text.update(f"{path.relative_to(REPOSITORY)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return text.hexdigest()


def record(lane: str, covered: Iterable[Path], facts: dict[str, object]) -> None:
    """Writes the result of a run that has just ended well."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{lane}.json").write_text(json.dumps({**facts, "covered": digest(covered)}, indent=1) + "\n")


def is_current(lane: str, covered: Iterable[Path]) -> bool:
    """Whether the last run was of the code as it is."""
    path = RESULTS / f"{lane}.json"
    return path.exists() and json.loads(path.read_text())["covered"] == digest(covered)
