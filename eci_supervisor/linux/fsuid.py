"""File-system ids: acting on files as another id while every capability stays.

Some facts. setfsuid(2) to an id other than 0 takes the file capabilities out of the effective set, but for SECBIT_NO_SETUID_FIXUP; it
returns the old id and no error, so a second call asks whether it happened. All of this is the thread's own.
"""
import os
from types import TracebackType
from typing import Final

from eci_supervisor.native import check_libc, ffi, lib

_PR_GET_SECUREBITS: Final = 27
_PR_SET_SECUREBITS: Final = 28
_SECBIT_NO_SETUID_FIXUP: Final = 4
_ASK: Final = 0xFFFFFFFF  # no valid id: the call changes nothing and tells the present one


class FileSystemIds:
    """with FileSystemIds(id): uid and gid for file access are `id`, the thread's capabilities are as before; undone at the end."""

    __slots__ = ("_id", "_securebits")

    def __init__(self, host_id: int) -> None:
        self._id = host_id
        self._securebits = 0

    def __enter__(self) -> None:
        self._securebits = check_libc(lib.prctl(_PR_GET_SECUREBITS), "prctl PR_GET_SECUREBITS")
        _set_securebits(self._securebits | _SECBIT_NO_SETUID_FIXUP)
        _set(self._id, self._id)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _set(os.geteuid(), os.getegid())
        _set_securebits(self._securebits)


def _set_securebits(bits: int) -> None:
    check_libc(lib.prctl(_PR_SET_SECUREBITS, ffi.cast("unsigned long", bits)), "prctl PR_SET_SECUREBITS")


def _set(uid: int, gid: int) -> None:
    lib.setfsgid(gid)
    lib.setfsuid(uid)
    if lib.setfsuid(_ASK) != uid or lib.setfsgid(_ASK) != gid:
        raise PermissionError(f"setfsuid {uid}, setfsgid {gid}: not permitted")
