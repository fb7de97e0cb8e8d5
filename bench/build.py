"""The C halves of benches."""
import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NATIVE = Path(__file__).parent.parent / "native"


@cache
def directory() -> Path:
    """Goes with this process."""
    path = Path(tempfile.mkdtemp(prefix="eci-bench-"))
    atexit.register(shutil.rmtree, path)
    return path


@cache
def built(source: Path) -> str:
    """The program that `source` is, compiled; its headers may be native/'s."""
    output = directory() / source.stem
    subprocess.run(["cc", "-O2", "-pthread", f"-I{NATIVE}", "-o", str(output), str(source)], check=True)
    return str(output)
