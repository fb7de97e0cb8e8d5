"""What a call waits for before it does anything: for no import where a fork server runs, for few modules where one is to be started."""
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
FORBIDDEN = {
    "trio", "asyncio", "pydantic", "pyfuse3", "pyseccomp", "h11", "logging", "subprocess", "email", "click", "rich", "argparse", "ctypes",
    "threading", "tempfile", "shutil", "random", "urllib", "hashlib", "platform",
}  # fmt: skip
# What site itself brings: an editable install finds its package by code that imports pathlib, and that urllib and more.
PROGRAM = """import sys
before = set(sys.modules)
import {}
print(*sorted(set(sys.modules) - before))
"""
SHIM, SERVER = "eci_supervisor.oci.shim", "eci_supervisor.forkserver.main"
MAKING = sorted(path for path in (REPOSITORY / "eci_supervisor/oci").rglob("*.py") if path.name != "shim.py")


def modules(name: str) -> set[str]:
    """What importing `name` imports."""
    command = [sys.executable, "-I", "-c", PROGRAM.format(name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return set(done.stdout.split())


def importers(name: str) -> list[str]:
    """The chain of modules that leads from the shim to `name`, outermost first, as -X importtime nests them."""
    command = [sys.executable, "-I", "-X", "importtime", "-c", f"import {SHIM}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    chain: list[str] = []
    depth = -1
    for line in lines:
        module = line.rpartition("|")[2][1:]
        indent = len(module) - len(module.lstrip())
        if depth < 0 and module.strip() == name:
            depth = indent
            chain = [name]
        elif 0 <= indent < depth:
            depth = indent
            chain.insert(0, module.strip())
    return chain


def imported(path: Path) -> Iterator[str]:
    """Our modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_starting_a_server_imports_nothing_slow() -> None:
    found = {name.partition(".")[0]: name for name in modules(SHIM) if name.partition(".")[0] in FORBIDDEN}
    assert not found, {name: " → ".join(importers(whole)) for name, whole in found.items()}


def test_starting_a_server_imports_nothing_of_the_making_of_a_container() -> None:
    making = ("stage", "rewrite", "create", "assemble", "plan", "exec_")
    assert not {f"eci_supervisor.oci.{name}" for name in making} & modules(SHIM)


def test_the_importer_is_named() -> None:
    """The test's own means: a module that is imported, and by whom."""
    chain = importers("eci_supervisor.linux.paths")
    assert chain[0] == SHIM
    assert chain[-1] == "eci_supervisor.linux.paths"


@pytest.fixture(scope="module")
def warm() -> set[str]:
    """What a fork server has imported when it forks."""
    return modules(SERVER) | set(sys.builtin_module_names) | {"__future__"}


@pytest.mark.parametrize("path", MAKING, ids=lambda path: str(path.relative_to(REPOSITORY / "eci_supervisor")))
def test_a_creator_imports_nothing(warm: set[str], path: Path) -> None:
    """Not even in a function: a creator lives for a tenth of a second, and would import it each time."""
    lacking = {name for name in imported(path) if name not in warm and name not in sys.stdlib_module_names}
    assert lacking == set()
