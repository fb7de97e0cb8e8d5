"""The serving thread's parts, compiled with sanitizers and driven by small programs beside this file."""
import subprocess
from pathlib import Path

import pytest

from native.build import CFLAGS, NATIVE

HERE = Path(__file__).parent


def built(directory: Path, name: str, sanitizers: str, *sources: str) -> list[str]:
    """A command that runs tests/native/NAME.c with our `sources`, and without address randomisation, which TSAN of gcc 12 cannot have."""
    output = directory / name
    flags = [flag for flag in CFLAGS if "FORTIFY" not in flag]
    files = [str(HERE / f"{name}.c"), *(str(NATIVE / source) for source in sources)]
    checked = ["-O1", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-pthread", f"-I{NATIVE}"]
    subprocess.run(["gcc", *flags, *checked, *files, "-o", str(output)], check=True)
    return ["setarch", "-R", str(output)]


@pytest.mark.requires("compiler")
def test_a_ring_gives_whole_events_to_many_threads(tmp_path: Path) -> None:
    done = subprocess.run(built(tmp_path, "ring_stress", "thread", "ring.c"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pushed, whole, torn = (int(word) for word in done.stdout.split())
    assert (pushed, torn) == (80_000, 0)
    assert whole > 0


@pytest.mark.requires("compiler")
def test_a_queue_loses_and_repeats_nothing(tmp_path: Path) -> None:
    done = subprocess.run(built(tmp_path, "queue_stress", "thread", "queue.c"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\n", "")


EFAULT, ENAMETOOLONG = 14, 36
READ = {
    "short": (0, 0, 3), "empty": (0, 0, 0), "null": (0, 1, 0), "one": (EFAULT, 0, 0), "kernel": (EFAULT, 0, 0),
    "last-byte-of-all": (EFAULT, 0, 0), "runs-into-hole": (EFAULT, 0, 96), "too-long": (ENAMETOOLONG, 0, 4096),
    "data-too-long": (0, 0, 4095), "data-half": (0, 0, 2048), "data-hole": (EFAULT, 0, 0), "ends-before-hole": (0, 0, 3),
    "longest": (0, 0, 4095), "prot-none": (EFAULT, 0, 0),
}  # fmt: skip


@pytest.mark.requires("compiler")
def test_strings_around_holes(tmp_path: Path) -> None:
    done = subprocess.run(built(tmp_path, "read_holes", "address,undefined", "tracee.c"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [dict(word.split("=") for word in line.split()[1:]) | {"name": line.split()[0]} for line in done.stdout.splitlines()]
    found = {line["name"]: (int(line["error"]), int(line["null"]), int(line["length"])) for line in lines if line["name"] != "three"}
    assert found == READ
    # A hole in one string does not cost the others.
    assert [(line["error"], line["first"]) for line in lines if line["name"] == "three"] == [("0", "f"), ("14", "-"), ("0", "t")]
