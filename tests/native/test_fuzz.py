"""What decodes and judges a call in C, with sanitizers: the corpus, and some seconds of new inputs. The long run is `make fuzz`."""
import subprocess
from pathlib import Path

import pytest

from tests.support import fuzzing

SECONDS = 20


@pytest.mark.requires("compiler")
def test_the_corpus_breaks_nothing(tmp_path: Path) -> None:
    program, environment = fuzzing.command("gcc", tmp_path)
    inputs = sorted(str(path) for path in fuzzing.CORPUS.iterdir())
    done = subprocess.run([*program, *inputs], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(inputs)} inputs\n", "")


@pytest.mark.requires("clang")
def test_new_inputs_break_nothing(tmp_path: Path) -> None:
    """Whatever a container calls is answered once, or handed on once."""
    run = fuzzing.fuzz(tmp_path, SECONDS)
    assert run.executions > 1000
