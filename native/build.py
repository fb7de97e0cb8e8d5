"""Builds native/: the extension, the FUSE session library, the mounter and the front, all with the system's C compiler.

    python native/build.py [--strict]          in place; --strict adds -Werror and more warnings to our own files

| source                          | becomes                                   |
|---------------------------------|-------------------------------------------|
| eci.h (between its markers), EXTENSION | eci_supervisor/_native.abi3.so     |
| fuse_session.c                  | eci_supervisor/libeci-fuse.so             |
| MOUNTER                         | eci_supervisor/bin/eci-mounter            |
| FRONT                           | eci_supervisor/bin/eci-runc, and bin/ of the environment it is installed in |
"""
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools.command.build_py import build_py

NATIVE = Path(__file__).resolve().parent
PACKAGE = NATIVE.parent / "eci_supervisor"
MOUNTER = ("mounter.c", "join.c", "tree.c", "first.c", "walk.c", "emulate.c", "existing.c", "copies.c", "notify.c")
VERSION = re.search(r'VERSION = "(.*)"', (PACKAGE / "__init__.py").read_text())[1]  # type: ignore[index] # it is there
FRONT = ("front.c", "call.c")
EXTENSION = ("flood.c", "policy.c", "serve.c", "queue.c", "ring.c", "sysinfo.c", "tracee.c", "pages.c", "lane.c", "usual.c",
             "notify.c", "setns.c")
CFLAGS = ("-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-fstack-protector-strong",
          "-D_FORTIFY_SOURCE=2", "-fno-plt", f'-DECI_VERSION="{VERSION}"')
STRICT = ("-Wshadow", "-Wconversion", "-Wswitch-enum", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla", "-Werror")
LDFLAGS = ("-Wl,-z,relro", "-Wl,-z,now")


def compiler() -> list[str]:
    """The C compiler's command, from CC where that is set."""
    return shlex.split(os.environ.get("CC", "cc"))


def compile_c(output: Path, sources: tuple[Path, ...], *flags: str) -> None:
    """Compiles and links `sources` to `output`, replaced in one step: a running program keeps the old file."""
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = output.with_name(f".{output.name}.new")
    subprocess.run([*compiler(), *CFLAGS, *(str(s) for s in sources), "-o", str(fresh), *LDFLAGS, *flags], check=True)
    fresh.replace(output)


def existing(names: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(NATIVE / name for name in names if (NATIVE / name).exists())


def cdef() -> str:
    """What Python may call: the text between the markers of eci.h."""
    text = (NATIVE / "eci.h").read_text()
    return "\n".join(re.findall(r"/\* cdef: begin.*?\*/\n(.*?)/\* cdef: end \*/", text, re.DOTALL))


def build_extension() -> None:
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(cdef())
    ffi.set_source("eci_supervisor._native", '#include "eci.h"')
    generated = NATIVE.parent / "build" / "_native.c"
    generated.parent.mkdir(exist_ok=True)
    ffi.emit_c_code(str(generated))
    include = sysconfig.get_path("include")
    compile_c(PACKAGE / "_native.abi3.so", (generated, *existing(EXTENSION)), "-shared", "-fPIC", "-pthread", f"-I{include}",
              f"-I{NATIVE}", "-Wno-missing-field-initializers")


def pkg_config(*words: str) -> list[str]:
    return shlex.split(subprocess.check_output(["pkg-config", *words], text=True))


def build_all() -> None:
    """Everything of the table above, in place."""
    build_extension()
    if shim := existing(("fuse_session.c",)):
        compile_c(PACKAGE / "libeci-fuse.so", shim, "-shared", "-fPIC", "-Wl,--no-as-needed", *pkg_config("--cflags", "--libs", "fuse3"))
    if mounter := existing(MOUNTER):
        compile_c(PACKAGE / "bin" / "eci-mounter", mounter, "-static")
    if front := existing(FRONT):
        compile_c(PACKAGE / "bin" / "eci-runc", front, "-static")


def lint() -> None:
    """The strict pass over our own files: the generated one would not pass it."""
    fuse = pkg_config("--cflags", "fuse3")
    for source in sorted(NATIVE.glob("*.c")):
        subprocess.run([*compiler(), *CFLAGS, *STRICT, *fuse, f"-I{NATIVE}", "-fsyntax-only", str(source)], check=True)


def data_files() -> list[tuple[str, list[str]]]:
    """For setup(): programs that belong on the path. setuptools' `scripts` cannot carry an ELF file."""
    return [("bin", ["eci_supervisor/bin/eci-runc"])]


class NativeBuild(build_py):
    """build_py that first builds native/ in place; the results travel as package data."""

    def run(self) -> None:
        build_all()
        super().run()


if __name__ == "__main__":
    if "--strict" in sys.argv[1:]:
        lint()
    build_all()
