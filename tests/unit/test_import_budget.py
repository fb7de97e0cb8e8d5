"""What create costs before it does anything: the modules it imports, each of which some line of ours asked for."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
FORBIDDEN = {
    "trio", "asyncio", "pydantic", "pyfuse3", "pyseccomp", "h11", "logging", "subprocess", "email", "click", "rich", "argparse", "ctypes",
    "threading", "tempfile", "shutil", "random", "urllib", "hashlib", "platform",
}  # fmt: skip
# What site itself brings: an editable install finds its package by code that imports pathlib, and that urllib and more.
MODULES = ("shim", "create", "assemble", "run", "exec_", "undo")
ALL = "import " + ", ".join(f"eci_supervisor.oci.{name}" for name in MODULES)
PROGRAM = f"""import sys
before = set(sys.modules)
{ALL}
print(*sorted(set(sys.modules) - before))
"""


def importers(name: str) -> list[str]:
    """The chain of modules that leads to `name`, outermost first, as -X importtime nests them."""
    command = [sys.executable, "-I", "-X", "importtime", "-c", ALL]
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


def modules() -> set[str]:
    done = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return set(done.stdout.split())


def test_create_imports_nothing_slow() -> None:
    found = {name.partition(".")[0]: name for name in modules() if name.partition(".")[0] in FORBIDDEN}
    assert not found, {name: " → ".join(importers(whole)) for name, whole in found.items()}


def test_the_importer_is_named() -> None:
    """The test's own means: a module that is imported, and by whom."""
    chain = importers("eci_supervisor.oci.placement")
    assert chain[0] == "eci_supervisor.oci.assemble"
    assert chain[-1] == "eci_supervisor.oci.placement"


def test_exec_imports_little_of_what_create_does() -> None:
    """Health checks are execs: what makes containers is not for them."""
    program = PROGRAM.replace(ALL, "import eci_supervisor.oci.shim, eci_supervisor.oci.exec_")
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    making = ("stage", "rewrite", "create", "assemble", "plan")
    assert not {f"eci_supervisor.oci.{name}" for name in making} & set(done.stdout.split())
