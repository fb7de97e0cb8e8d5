"""What native/front.c starts for create, run and exec: from the command line to one of these, and from any failure to one sentence.

Import budget: part of every container's start, so neither trio, asyncio, pydantic, pyfuse3, logging, subprocess nor email may be
imported from here. tests/unit/test_import_budget.py names the importer.
"""
import errno
import os
import sys
from typing import NoReturn

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.state import container_key
from eci_supervisor.oci import argv
from eci_supervisor.oci.call import Call
from eci_supervisor.oci.recorded import recorded
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.refusals import Refused, check_command, check_host
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.runtimes import RealRuntime, absolute_root

SOCKET_PATH_LIMIT = 107  # sun_path, less its NUL
ONE_SENTENCE = (ValueError, RuntimeError, StageRefused)  # the errors of our own modules: their text is written for the user


def main() -> NoReturn:
    """SELF REAL ARGV0 WORD…, from native/front.c; REAL is "" where it found no runtime."""
    front, real, program, *words = sys.argv[1:]
    log, json_log = argv.log_of(words)
    report = Reporter("", "", log, json_log)
    line = None
    try:
        line = argv.parse(program, words)
        report = Reporter(line.command, line.id, log, json_log)
        code = dispatch(front, real, line, report)
    except ONE_SENTENCE as error:
        report.error(recorded(error, line) if line is not None else str(error))
        code = 1
    except OSError as error:
        report.error(sentence(error))
        code = 1
    except Exception as error:  # the boundary of this process: an engine gets a sentence, never a traceback  # noqa: BLE001
        report.error(f"an error of eci-runc itself: {type(error).__name__}: {error}")
        code = 1
    os._exit(code)  # nothing is buffered, and tearing the interpreter down takes longer than what we did


def dispatch(front: str, real: str, line: argv.CommandLine, report: Reporter) -> int:
    check_command(line)
    check_process()
    if not real and line.real_runtime:
        raise Refused(f"no real runtime: --real-runtime={line.real_runtime} is not a program that can be run")
    if not real:
        raise Refused(f"no real runtime: {line.real_runtime or 'neither runc nor crun'} is not there, or not in PATH. "
                      "Install runc, or name another by --real-runtime=PATH")
    call = call_of(front, RealRuntime(real), line)
    match line.command:
        case "exec":
            return entered(call)
        case "create" | "run":
            return made(call, report)
        case _:
            raise Refused("the global options before the command are not known here: write them as --OPTION=VALUE")


def entered(call: Call) -> int:
    """exec. Imported when it is asked for: an exec needs a third of what a create imports."""
    from eci_supervisor.oci.exec_ import exec_

    return exec_(call)


def made(call: Call, report: Reporter) -> int:
    """create and run."""
    from eci_supervisor.idmap.ranges import pool
    from eci_supervisor.oci.bundle import look, read_spec
    from eci_supervisor.oci.create import create, make
    from eci_supervisor.oci.refusals import check_spec
    from eci_supervisor.oci.run import run
    from eci_supervisor.oci.settled import settled

    spec = read_spec(call.config)
    check_spec(spec, look(spec), pool(text_of("/etc/subuid"), text_of("/etc/subgid")).areas)
    call, spec = settled(call, spec, report)
    return make(call, spec, report, run if call.line.command == "run" else create)


def check_process() -> None:
    """Raises Refused unless we are root of the host."""
    status = text_of("/proc/self/status")
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    check_host(os.geteuid(), text_of("/proc/self/uid_map"), int(effective, 16))


def call_of(front: str, runtime: RealRuntime, line: argv.CommandLine) -> Call:
    directory = os.getcwd()
    root = absolute_root(line, runtime, directory)
    call = Call(line=line, runtime=runtime, front=front, root=root, bundle=os.path.join(directory, line.options.get("bundle", ".")),
                state_dir=StateDir(line.state_dir), key=container_key(root, line.id))
    if len(os.fsencode(call.directory.control_socket)) > SOCKET_PATH_LIMIT:
        raise Refused(f"--state-dir={line.state_dir} is too long for the sockets in it: take a path of at most 60 bytes")
    return call


def reclaim() -> NoReturn:
    """CODE STATE_DIR ROOT ID, from native/front.c: what is left of a container that the real runtime has deleted, ending with CODE."""
    _, _, code, state_dir, root, container_id = sys.argv[1:]
    from eci_supervisor.oci.undo import give_back

    try:
        give_back(StateDir(state_dir), root, container_id)
    except (*ONE_SENTENCE, OSError) as error:
        Reporter("delete", container_id).error(sentence(error) if isinstance(error, OSError) else str(error))
        os._exit(int(code) or 1)
    os._exit(int(code))


def sentence(error: OSError) -> str:
    """What, and the errno by name: of the words of two errnos engines make exit codes of their own."""
    number = error.errno or 0
    name, words = errno.errorcode.get(number, "error"), os.strerror(number)
    what = (error.strerror or str(error)).removeprefix(words).removeprefix(": ")
    if not what and number not in (errno.ENOENT, errno.EACCES):
        what = words
    return ": ".join(word for word in (str(error.filename or ""), what, name) if word)


def text_of(path: str) -> str:
    """A small file of the host, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


