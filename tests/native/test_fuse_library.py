"""libeci-fuse.so stands in front of libfuse for every way pyfuse3 could make a session."""
import os
import re
import subprocess
import sys

import pytest

from eci_supervisor.procfs import fuse_library

ENTRY_POINT = re.compile(r" [TW] (fuse_session_new(?:_versioned)?)(@\S+)?$", re.MULTILINE)


def exported(path: str) -> set[tuple[str, str]]:
    """Entry points that make a session, with their versions (`@@` is the default one)."""
    return set(ENTRY_POINT.findall(subprocess.check_output(["nm", "-D", "--with-symbol-versions", path], text=True)))


def linked_libfuse() -> str:
    listing = subprocess.check_output(["ldd", fuse_library.LIBRARY], text=True)
    found = re.search(r"libfuse3\.so\S* => (\S+)", listing)
    assert found is not None, listing
    return found[1]


def test_every_entry_point_of_libfuse_is_covered_under_every_version() -> None:
    ours = exported(str(fuse_library.LIBRARY))
    # A definition without a version satisfies a reference to any.
    assert {name for name, version in ours if not version} >= {name for name, _ in exported(linked_libfuse())}


def test_libfuse_is_linked_and_not_looked_for_by_name() -> None:
    assert b"dlopen" not in fuse_library.LIBRARY.read_bytes()


@pytest.mark.requires("root", "fuse")
def test_nodes_that_are_mixed_up_are_noticed(tmp_path: os.PathLike[str]) -> None:
    """pyfuse3 bound to libfuse before the library came: every file handle is 0, and the view says so instead of serving."""
    script = "import pyfuse3, runpy; runpy.run_module('tests.programs.serve_view', run_name='__main__', alter_sys=True)"
    result = subprocess.run([sys.executable, "-c", script, tmp_path, "0"], env={**os.environ, "LD_BIND_NOW": "1"}, capture_output=True,
                            text=True, check=False, stdin=subprocess.DEVNULL)
    assert result.stdout == ""
    assert result.returncode != 0
    assert "NotServingError: virtual nodes cannot be read" in result.stderr
