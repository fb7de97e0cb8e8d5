"""What the kernel's seccomp can do, asked of the kernel. No filter is set."""
import os
from errno import EFAULT
from typing import Final

from eci_supervisor.linux.syscall import syscall

# seccomp(2) is older than the common table of numbers.
_NUMBER: Final = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _GET_NOTIF_SIZES = 1, 3
_NEW_LISTENER, _WAIT_KILLABLE_RECV = 1 << 3, 1 << 5


def has_notify() -> bool:
    """Whether filters can ask a supervisor (SECCOMP_RET_USER_NOTIF)."""
    try:
        syscall(_number(), _GET_NOTIF_SIZES, 0, bytes(8), what="seccomp")
    except OSError:
        return False
    return True


def has_wait_killable() -> bool:
    """Whether a received call can be kept from being interrupted by signals (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)."""
    try:
        syscall(_number(), _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE_RECV, None, what="seccomp")
    except OSError as error:
        return error.errno == EFAULT  # the flags were taken, the missing program was not
    return False


def _number() -> int:
    """-1, which no kernel has, on a machine we do not know."""
    return _NUMBER.get(os.uname().machine, -1)
