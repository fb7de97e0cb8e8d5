"""Sizes: one sitting, one idea. The numbers are those of "never over"; most files are to be far below."""
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PYTHON = sorted(path for part in ("eci_supervisor", "native", "tests", "bench", "demo") for path in (REPOSITORY / part).rglob("*.py"))
C = sorted((REPOSITORY / "native").glob("*.[ch]"))
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_NATIVE_LINES = 3510


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("path", [*PYTHON, *C], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_file(path: Path) -> None:
    assert len(lines(path)) <= MOST_LINES
    long = {name: size for name, size in functions(path) if size > MOST_FUNCTION_LINES}
    assert long == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and its number of lines. In C a body begins and ends with a brace in the first column."""
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                yield node.name, node.end_lineno - node.lineno + 1
        return
    begin = 0
    for number, line in enumerate(lines(path)):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            yield f"line {begin}", number - begin + 2
            begin = 0


def test_native_can_be_read_in_an_afternoon() -> None:
    """Lines of code: comments and blank lines make the reading quicker."""
    code = [re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL) for path in C]
    assert sum(bool(line.strip()) for text in code for line in text.splitlines()) < MOST_NATIVE_LINES


def test_no_unfinished_business() -> None:
    """What is not done is an issue, not a comment."""
    words = re.compile(r"(#|/?\*) *(TODO|FIXME|XXX)\b")
    assert [str(path) for path in (*PYTHON, *C) if words.search(path.read_text())] == []
