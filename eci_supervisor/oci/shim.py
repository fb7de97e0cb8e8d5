"""What native/front.c and call.c start a Python for: to refuse a call in its engine's log, or where no fork server can be asked.

Import budget: the first create and a delete without a server wait for it, so neither trio, asyncio, pydantic, pyfuse3, logging, subprocess
nor email may be imported from here. tests/unit/test_import_budget.py names the importer.
"""
import os
import sys
from typing import NoReturn

from eci_supervisor.forkserver import client
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.oci.argv import CommandLine, parse
from eci_supervisor.oci.call import check_paths
from eci_supervisor.oci.refusals import Refused, check_command, check_process
from eci_supervisor.oci.report import Reporter
from eci_supervisor.oci.told import ONE_SENTENCE, sentence, told


def main() -> NoReturn:
    """SELF REAL ARGV0 WORD…; REAL is "" where none was found. 0: a fork server runs, and will take the call."""
    _, real, program, *words = sys.argv[1:]

    def served(line: CommandLine, _: Reporter) -> int:
        check_call(line, real)
        client.ensure(StateDir(line.state_dir))
        return 0

    end(told(program, words, served))


def check_call(line: CommandLine, real: str) -> None:
    """Raises Refused."""
    check_command(line)
    with open("/proc/self/status", encoding="ascii", errors="replace") as status, open("/proc/self/uid_map", encoding="ascii") as uid_map:
        check_process(status.read(), uid_map.read())
    if not real and line.real_runtime:
        raise Refused(f"no real runtime: --real-runtime={line.real_runtime} is not a program that can be run")
    if not real:
        raise Refused("no real runtime: neither runc nor crun is there, or in PATH. Install runc, or name another by --real-runtime=PATH")
    if line.command not in ("create", "run", "exec"):
        raise Refused("the global options before the command are not known here: write them as --OPTION=VALUE")
    check_paths(line)


def lost() -> NoReturn:
    """SELF REAL ARGV0 WORD…: the creator of this call has died. What there is by now is for `delete --force` to take back."""
    _, _, program, *words = sys.argv[1:]

    def says(line: CommandLine, _: Reporter) -> int:
        raise client.ForkServerError("the process of the fork server that carried it out has died, or a server cannot be asked: see "
                                     f"{StateDir(line.state_dir).fork_log}")

    end(told(program, words, says))


def reclaim(code: int) -> NoReturn:
    """SELF REAL ARGV0 WORD…: what is left of a container that the real runtime has deleted, ending with `code`."""
    _, real, *words = sys.argv[1:]
    from eci_supervisor.oci.deleted import deleted
    from eci_supervisor.oci.undo import give_back

    if found := deleted(words, real, os.getcwd(), code):
        try:
            give_back(StateDir(parse(words[0], words[1:]).state_dir), *found)
        except (*ONE_SENTENCE, OSError) as error:
            Reporter("delete", found[1]).error(sentence(error) if isinstance(error, OSError) else str(error))
            end(code or 1)
    end(code)


def end(code: int) -> NoReturn:
    """Nothing is buffered, and tearing the interpreter down takes longer than what we did."""
    os._exit(code)
