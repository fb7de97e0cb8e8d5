"""What a child of the fork server does for one call of create, run or exec: from the command line to one of these, then to an exit code.

All that it needs is imported before the fork: a container's start waits for no import.
"""
import os
import socket
from collections.abc import Sequence

from eci_supervisor.idmap.ranges import pool
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import ffi, lib
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.bundle import look, read_spec
from eci_supervisor.oci.call import Call, call_of
from eci_supervisor.oci.caller import Caller
from eci_supervisor.oci.create import create, make
from eci_supervisor.oci.exec_ import exec_
from eci_supervisor.oci.refusals import Refused, check_command, check_spec
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.run import run
from eci_supervisor.oci.settled import settled
from eci_supervisor.oci.told import told

PR_SET_NAME = 15
UMASK = 0o022  # of the log, which engines read; what else we make says its own mode


def main(connection: socket.socket, real: str, front: str, stdio: Sequence[OwnedFd]) -> None:
    """`real`, `front`: absolute paths of the real runtime and of eci-runc. Never returns: the caller is told how it went, and we end."""
    lib.prctl(PR_SET_NAME, ffi.new("char[]", b"eci-creator"))
    os.umask(UMASK)
    caller = Caller(connection, stdio)
    program, *words = caller.words()
    try:
        caller.join()
    except (OSError, Refused) as error:  # who has not our rights is not written a log by us either: it says so itself
        caller.refuse(str(error))
    caller.over(told(program, words, lambda line, report: done(caller, real, front, line, report)))


def done(caller: Caller, real: str, front: str, line: CommandLine, report: Reporter) -> int:
    """The exit code. Raises what told() makes a sentence of."""
    check_command(line)
    caller.check_pids()
    call = call_of(caller, real, front, line)
    if line.command == "exec":
        return exec_(call)
    return made(call, report)


def made(call: Call, report: Reporter) -> int:
    """create and run."""
    spec = read_spec(call.config)
    check_spec(spec, look(spec), pool(text_of("/etc/subuid"), text_of("/etc/subgid")).areas)
    call, spec = settled(call, spec, report)
    return make(call, spec, report, run if call.line.command == "run" else create)


def text_of(path: str) -> str:
    """A small file of the host, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
