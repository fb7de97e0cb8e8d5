"""What is wrong with a settings file: a list of sentences, each with its place. Pure."""
import json
from dataclasses import dataclass

MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. path: `a.b[2].c`, or "line 14" where the text is not JSON; value: as JSON, "" where there is none.

    right: what would be right; line: in the file, 0 where there is none.
    """

    path: str
    value: str
    right: str
    line: int = 0

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.value, self.right) if part)


class Invalid(ValueError):
    """A settings file that is not taken, with all that is wrong in it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def shown(value: object) -> str:
    """A value as the file has it, cut."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def path_of(parts: tuple[int | str, ...]) -> str:
    """`("a", 2, "b")` as `a[2].b`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")
