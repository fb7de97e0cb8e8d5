"""The typed face of native/: the one importer of the extension. Nothing else of the package sees `ffi` or `lib`."""
import os
from typing import Any, Final

from eci_supervisor import _native  # type: ignore[attr-defined] # built by native/build.py

ffi: Final[Any] = _native.ffi
lib: Final[Any] = _native.lib


def check(result: int, what: str) -> int:
    """`result` of a function of ours that returns -errno; raises OSError that names `what`."""
    if result < 0:
        raise OSError(-result, f"{os.strerror(-result)}: {what}")
    return result


def check_libc(result: int, what: str) -> int:
    """`result` of a libc function that returns -1 and sets errno; raises OSError that names `what`."""
    if result < 0:
        raise OSError(ffi.errno, f"{os.strerror(ffi.errno)}: {what}")
    return result
