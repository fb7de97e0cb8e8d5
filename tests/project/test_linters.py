"""ruff, mypy and the strict pass of the C compilers: one command runs every gate."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def passes(*command: str, **environment: str) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    passes(sys.executable, "-m", "ruff", "check", ".")


@pytest.mark.timeout(240)
def test_mypy() -> None:
    passes(sys.executable, "-m", "mypy")


@pytest.mark.requires("compiler", "clang")
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_strict_c(compiler: str) -> None:
    passes(sys.executable, "-c", "import sys; sys.path.insert(0, 'native'); import build; build.lint()", CC=compiler)
