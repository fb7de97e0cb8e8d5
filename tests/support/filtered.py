"""A process under a seccomp filter with a listener, whose system calls a test chooses; no container, no runtime."""
import contextlib
import ctypes
import os
import pickle
import platform
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyseccomp

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import receive_with_fds, send_with_fds

NR_SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
SET_MODE_FILTER, NEW_LISTENER, WAIT_KILLABLE = 1, 1 << 3, 1 << 5
PR_SET_NO_NEW_PRIVS = 38
UNKNOWN = -1  # __NR_SCMP_ERROR: a call that libseccomp has never heard of; runtimes leave it out

NUMBERS = {"open_tree_attr": 467}  # on every architecture
BPF = struct.Struct("=HBBI")
LD_WORD, JUMP_EQUAL, RETURN, USER_NOTIF = 0x20, 0x15, 0x06, 0x7FC00000  # linux/bpf_common.h, linux/seccomp.h

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

ACTIONS = {"SCMP_ACT_ALLOW": pyseccomp.ALLOW, "SCMP_ACT_NOTIFY": pyseccomp.NOTIFY, "SCMP_ACT_LOG": pyseccomp.LOG}
ARCHES = {"SCMP_ARCH_X86_64": pyseccomp.Arch.X86_64, "SCMP_ARCH_X86": pyseccomp.Arch.X86, "SCMP_ARCH_X32": pyseccomp.Arch.X32}
OPS = {
    "SCMP_CMP_EQ": pyseccomp.EQ, "SCMP_CMP_NE": pyseccomp.NE, "SCMP_CMP_LT": pyseccomp.LT, "SCMP_CMP_LE": pyseccomp.LE,
    "SCMP_CMP_GT": pyseccomp.GT, "SCMP_CMP_GE": pyseccomp.GE, "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ,
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def syscall(number: int, *args: int | bytes | None) -> int:
    """The result of a system call, -errno if it failed."""
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args))
    return -ctypes.get_errno() if result == -1 else int(result)


def _action(rule: Mapping[str, Any], errno_key: str) -> int:
    errno: int = rule.get(errno_key) or 1
    return ACTIONS[rule["action"]] if rule["action"] in ACTIONS else int(pyseccomp.ERRNO(errno))


def program(section: Mapping[str, Any]) -> bytes:
    """The BPF of an OCI seccomp section, made as runc makes it."""
    default = _action({"action": section["defaultAction"], **section}, "defaultErrnoRet")
    built = pyseccomp.SyscallFilter(default)
    for name in section.get("architectures", ()):
        if not built.exist_arch(ARCHES[name]):
            built.add_arch(ARCHES[name])
    for rule in section["syscalls"]:
        action = _action(rule, "errnoRet")
        args = [
            (pyseccomp.Arg(a["index"], OPS[a["op"]], a["value"], a.get("valueTwo", 0)), a["index"]) for a in rule.get("args") or ()
        ]
        apart = len({index for _, index in args}) < len(args)
        for name in rule["names"]:
            if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) == UNKNOWN:
                continue
            if action != default:
                for conditions in [[arg] for arg, _ in args] if apart else [[arg for arg, _ in args]]:
                    built.add_rule(action, name, *conditions)
    with tempfile.TemporaryFile() as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read()


def notifying(calls: Iterable[str]) -> bytes:
    """A filter that notifies `calls` of every ABI of x86, or of the machine; those that libseccomp does not know too, by their number."""
    arches = list(ARCHES) if platform.machine() == "x86_64" else []
    known = {call: pyseccomp.resolve_syscall(pyseccomp.system_arch(), call) != UNKNOWN for call in calls}
    first = BPF.pack(LD_WORD, 0, 0, 0)  # seccomp_data's nr
    for call in (call for call, is_known in known.items() if not is_known):
        first += BPF.pack(JUMP_EQUAL, 0, 1, NUMBERS[call]) + BPF.pack(RETURN, 0, 0, USER_NOTIF)
    return first + program({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": arches,
        "syscalls": [{"names": [call for call, is_known in known.items() if is_known], "action": "SCMP_ACT_NOTIFY"}],
    })


def install(bpf: bytes, flags: int = NEW_LISTENER) -> int:
    """Loads a filter into this thread for good; the listener."""
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(bpf, len(bpf))
    loaded = LIBC.syscall(NR_SECCOMP, SET_MODE_FILTER, flags, ctypes.byref(_Program(len(bpf) // 8, ctypes.addressof(code))))
    if loaded < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(loaded)


class Filtered:
    """A child under `bpf` that runs `body` once `go` is called; what it returns is the result.

    The listener is at hand from the start, for a serving thread. `with` kills and reaps the child.
    """

    def __init__(self, bpf: bytes, body: Callable[[], Any], flags: int = NEW_LISTENER) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            self._child(theirs, bpf, body, flags)
        theirs.close()
        self._socket = ours
        ours.settimeout(20)
        _, fds, _ = receive_with_fds(ours, 1, 1)
        self.listener: OwnedFd = fds[0]

    def _child(self, connection: socket.socket, bpf: bytes, body: Callable[[], Any], flags: int) -> None:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            listener = install(bpf, flags)
            send_with_fds(connection, b"f", [listener])
            os.close(listener)
            connection.recv(1)
            connection.sendall(pickle.dumps(body()))
        finally:
            os._exit(0)

    def go(self) -> None:
        self._socket.send(b"g")

    def result(self) -> Any:  # noqa: ANN401 # whatever body returned
        received = b""
        while more := self._socket.recv(65536):
            received += more
        return pickle.loads(received)

    def fileno(self) -> int:
        """Readable once the result, or the child's end, is there."""
        return self._socket.fileno()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def __enter__(self) -> "Filtered":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        os.waitpid(self.pid, 0)
        self._socket.close()
        self.listener.close()


def calls(*each: Sequence[Any]) -> Callable[[], list[int]]:
    """A body: the results of system calls one after the other, each (number, args...)."""
    return lambda: [syscall(*one) for one in each]
