"""What `pip install .` of a clean checkout brings."""
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NATIVE = {
    "eci_supervisor/_native.abi3.so",
    "eci_supervisor/libeci-fuse.so",
    "eci_supervisor/bin/eci-mounter",
    "eci_supervisor/bin/eci-runc",
}


@pytest.mark.requires("git", "compiler")
@pytest.mark.timeout(240)
def test_wheel_of_a_clean_checkout(tmp_path: Path) -> None:
    """Only what git knows is there; the wheel has the extension, the library and both programs, eci-runc on the path too."""
    for name in subprocess.check_output(["git", "ls-files"], cwd=REPOSITORY, text=True).split("\n"):
        if name and (REPOSITORY / name).exists():
            (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tmp_path / "src" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(tmp_path / "src")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert "cp311-abi3-linux" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert names >= NATIVE
        (on_path,) = [name for name in names if name.endswith(".data/data/bin/eci-runc")]
        assert archive.getinfo(on_path).external_attr >> 16 & 0o111
        assert [name for name in names if name.endswith("entry_points.txt")]
