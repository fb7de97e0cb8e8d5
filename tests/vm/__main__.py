"""python -m tests.vm LINUX_IMAGE.deb DIRECTORY: the tests of here in a guest. Writes bench/results/vm.json if all have passed."""
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.support import lanes
from tests.support.driver import REPOSITORY
from tests.vm.run import run, show

TESTS = REPOSITORY / "tests/vm/test_apparmor.py"
# Who asks for a caller's label, and who drops a profile.
COVERED = (TESTS, REPOSITORY / "native/notify.c", REPOSITORY / "native/join.c", REPOSITORY / "eci_supervisor/oci/rewrite/apparmor.py")
COMMAND = "uname -r; ECI_TEST_SLOWNESS=12 exec .venv/bin/python -m pytest --color=no -q -rA tests/vm"
PASSED = "PASSED "


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main(package: Path, directory: Path) -> int:
    if git("status", "--porcelain", "--untracked-files=no", "--", *map(str, COVERED)):
        sys.exit("the guest gets the last commit: commit first")
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        show(line)

    status = run(package, directory, COMMAND, tell)
    if status == 0:
        names = (line.rpartition("::")[2] for line in lines if line.startswith(PASSED))
        lanes.record("vm", COVERED, {"date": datetime.now(UTC).date().isoformat(), "commit": git("rev-parse", "--short", "HEAD"),
                                     "kernel": lines[0], "passed": sorted(names)})  # fmt: skip
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
