"""Building and running tests/fuzz: libFuzzer with clang's sanitizers, or each input of the corpus once with gcc's."""
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from eci_supervisor.native import ffi
from eci_supervisor.policy.arch import machine_abis
from eci_supervisor.policy.rows import compiled
from eci_supervisor.seccomp.serve import to_c
from native.build import CFLAGS, EXTENSION, NATIVE
from tests.support.driver import REPOSITORY

HARNESS = REPOSITORY / "tests/fuzz/calls.c"
CORPUS = REPOSITORY / "tests/data/fuzz/calls"
WORDS = REPOSITORY / "tests/data/fuzz/calls.dict"
INCLUDED = ("serve.c", "tracee.c", "notify.c")  # by the harness: what uses the listener
# What decodes and judges, and the harness.
COVERED = (HARNESS, *(NATIVE / name for name in ("flood.c", "policy.c", "queue.c", "ring.c", "serve.c", "sysinfo.c", "tracee.c",
                                              "notify.c", "usual.c")))
MAX_LENGTH = 4096
SANITIZERS = "address,undefined"


@dataclass(frozen=True, slots=True)
class Run:
    """What libFuzzer said at the end of a run. edges: of the code, those that some input reaches."""

    executions: int
    edges: int
    inputs: int


def command(compiler: str, directory: Path) -> tuple[list[str], dict[str, str]]:
    """The harness as a program, and the environment it wants. compiler: "clang" for libFuzzer, "gcc" for one input after another."""
    own = ["-fsanitize=fuzzer"] if compiler == "clang" else ["-DONE_BY_ONE"]
    flags = [flag for flag in CFLAGS if "FORTIFY" not in flag and not (compiler == "clang" and "stack-protector" in flag)]
    sources = [str(NATIVE / name) for name in EXTENSION if name not in INCLUDED]
    output = directory / f"calls-{compiler}"
    checked = [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", "-O1", "-pthread", f"-I{NATIVE}", *own]
    subprocess.run([compiler, *flags, *checked, str(HARNESS), *sources, "-o", str(output)], check=True)
    policy = directory / "policy.bin"
    policy.write_bytes(bytes(ffi.buffer(to_c(compiled(machine_abis())))))
    return [str(output)], {**os.environ, "ECI_POLICY": str(policy)}


def fuzz(directory: Path, seconds: int) -> Run:
    """Runs libFuzzer from a copy of the corpus in `directory`, where new inputs are left. Raises CalledProcessError on a finding."""
    program, environment = command("clang", directory)
    corpus = directory / "corpus"
    shutil.copytree(CORPUS, corpus)
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", "-print_final_stats=1", f"-dict={WORDS}", "-timeout=10"]
    done = subprocess.run(
        [*program, *options, str(corpus)], env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, program, done.stdout[-8000:])
    executions = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    edges = re.findall(r"cov: (\d+)", done.stdout)
    assert executions, done.stdout[-2000:]
    return Run(int(executions[1]), int(edges[-1]), len(list(corpus.iterdir())))


def keep(directory: Path) -> None:
    """Adds to the corpus what `fuzz` has found in `directory` and reaches what no input of the corpus does."""
    program, environment = command("clang", directory)
    subprocess.run([*program, "-merge=1", str(CORPUS), str(directory / "corpus")], env=environment, cwd=directory, check=True)
