"""A small root file system: busybox-static, its applets as links, and the programs of tests/programs."""
import os
import shutil
import struct
import subprocess
from pathlib import Path

PROGRAMS = Path(__file__).parent.parent / "programs"
DIRECTORIES = ("bin", "dev", "etc", "home/user", "mnt", "proc", "root", "run", "sys", "t", "tmp", "var")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    "etc/group": "root:x:0:\nuser:x:1000:\n",
    "etc/hostname": "busybox\n",
}
PT_INTERP = 3


def is_static(program: Path) -> bool:
    """Whether a 64-bit ELF file asks for no dynamic loader."""
    image = program.read_bytes()
    (headers,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    return all(struct.unpack_from("<I", image, headers + i * size) != (PT_INTERP,) for i in range(count))


def busybox() -> Path:
    """The host's static busybox; raises FileNotFoundError that says which package has it."""
    found = shutil.which("busybox")
    if found is None or not is_static(Path(found)):
        raise FileNotFoundError("no static busybox in PATH: Debian has it in the package busybox-static")
    return Path(found)


def compile_program(source: Path, output: Path, *flags: str) -> Path:
    """A static program out of one C file."""
    warnings = ("-Wall", "-Wextra", "-Werror")
    command = ["cc", "-std=gnu11", "-O1", "-static", "-D_GNU_SOURCE", *warnings, *flags, str(source), "-o", str(output), "-pthread"]
    subprocess.run(command, check=True)
    return output


def build_go(source: Path, output: Path, cache: Path) -> Path:
    """A static program out of one Go file. cache: a directory for the compiler, which has a cache in the user's home otherwise."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(cache), "GOFLAGS": ""}
    subprocess.run(["go", "build", "-o", str(output), str(source)], env=environment, check=True)
    return output


def make_root(directory: Path) -> Path:
    """Fills `directory` (made if need be), owned by root, readable by all. The last four programs are of tests/programs."""
    for name in DIRECTORIES:
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "tmp").chmod(0o1777)
    os.chown(directory / "home/user", 1000, 1000)
    for name, text in FILES.items():
        (directory / name).write_text(text)
    shutil.copy(busybox(), directory / "bin/busybox")
    for applet in subprocess.check_output([busybox(), "--list"], text=True).split():
        if applet != "busybox":
            (directory / "bin" / applet).symlink_to("busybox")
    for name in ("probe", "attack", "namespaces", "racer"):
        compile_program(PROGRAMS / f"{name}.c", directory / f"bin/{name}")
    return directory


def copy_root(root: Path, directory: Path) -> Path:
    """A copy with the same owners, times and links: a container may do to it what it likes."""
    subprocess.run(["cp", "-a", "--reflink=auto", f"{root}/.", directory], check=True)
    return directory
