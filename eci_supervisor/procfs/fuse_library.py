"""Loads libeci-fuse.so, which must be in the process before pyfuse3 is: see native/fuse_session.c.

Imported for its effect by procfs/view.py; a fork server imports that once for all its supervisors.
"""
import ctypes
import os
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).parent.parent / "libeci-fuse.so"


class Writer(ctypes.Structure):
    """The caller of the WRITE whose handler was started last: process id in our pid namespace (0: none), host user id."""

    _fields_ = (("pid", ctypes.c_uint32), ("uid", ctypes.c_uint32))
    pid: int
    uid: int


# RTLD_GLOBAL: pyfuse3's calls of libfuse are to come here first.
_library: Final = ctypes.CDLL(str(LIBRARY), mode=os.RTLD_GLOBAL | os.RTLD_NOW)
writer: Final = Writer.in_dll(_library, "eci_fuse_writer")
APPEND: Final[int] = ctypes.c_uint64.in_dll(_library, "eci_fuse_append").value  # this bit of a file handle: opened with O_APPEND
