"""From any failure of a call to one sentence, where its engine and its user read it."""
import errno
import os
from collections.abc import Callable, Sequence

from eci_supervisor.oci import argv
from eci_supervisor.oci.argv import CommandLine
from eci_supervisor.oci.recorded import recorded
from eci_supervisor.oci.refusal import StageRefused
from eci_supervisor.oci.report import Reporter

ONE_SENTENCE = (ValueError, RuntimeError, StageRefused)  # the errors of our own modules: their text is written for the user


def told(program: str, words: Sequence[str], work: Callable[[CommandLine, Reporter], int]) -> int:
    """The exit code of `work` for a command line; 1 once what it raised, or what is wrong with the line, has been reported."""
    log, json_log = argv.log_of(words)
    report = Reporter("", "", log, json_log)
    line = None
    try:
        line = argv.parse(program, words)
        report = Reporter(line.command, line.id, log, json_log)
        return work(line, report)
    except ONE_SENTENCE as error:
        report.error(recorded(error, line) if line is not None else str(error))
    except OSError as error:
        report.error(sentence(error))
    except Exception as error:  # the boundary of this process: an engine gets a sentence, never a traceback  # noqa: BLE001
        report.error(f"an error of eci-runc itself: {type(error).__name__}: {error}")
    return 1


def sentence(error: OSError) -> str:
    """What, and the errno by name: of the words of two errnos engines make exit codes of their own."""
    number = error.errno or 0
    name, words = errno.errorcode.get(number, "error"), os.strerror(number)
    what = (error.strerror or str(error)).removeprefix(words).removeprefix(": ")
    if not what and number not in (errno.ENOENT, errno.EACCES):
        what = words
    return ": ".join(word for word in (str(error.filename or ""), what, name) if word)
