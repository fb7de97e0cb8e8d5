"""Loads libeci-fuse.so, which must be in the process before pyfuse3 is: see native/fuse_session.c.

Imported for its effect by procfs/view.py; a fork server imports that once for all its supervisors.
"""
import ctypes
import os
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).parent.parent / "libeci-fuse.so"


# RTLD_GLOBAL: pyfuse3's calls of libfuse are to come here first.
_library: Final = ctypes.CDLL(str(LIBRARY), mode=os.RTLD_GLOBAL | os.RTLD_NOW)
_answered: Final = ctypes.c_ulong.in_dll(_library, "eci_fuse_answered")
_until: Final = ctypes.c_double.in_dll(_library, "eci_fuse_until")


def shown_until_s() -> float:
    """How long the kernel may show what it was given last, CLOCK_MONOTONIC, to a tick and a half of its."""
    return _until.value


def answered() -> int:
    """How many requests the library has answered itself."""
    return _answered.value
