"""The settings file and its compiled copy: which is in force, checked by one stat(2) at each create.

Some facts. policy.bin says what is in force, and from which file it was made: after an error in that file the policy is the last good
one (policy.last), or the defaults without exceptions, and `problem` says why. So an invalid file is looked at once, not at each create.
"""
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import DEFAULT_AUDIT_DIR, DEFAULT_SETTINGS, DESKTOP_SETTINGS, StateDir
from eci_supervisor.model.settings import Policy, Stamp
from eci_supervisor.settings.problem import Invalid, Problem
from eci_supervisor.settings.wire import WireError, policy_from_bytes, policy_to_bytes

MAX_BYTES = 1 << 20
NOTHING = b"{}\n"
CANNOT = "the settings could not be compiled: run `eci policy check` to see why"


class NotCompiled(RuntimeError):
    """One sentence: there is no policy that could be acted by."""


def settings_file(given: str) -> str:
    """`given`, else ours, else Docker Desktop's where that alone exists."""
    if given:
        return given
    return DESKTOP_SETTINGS if os.path.lexists(DESKTOP_SETTINGS) and not os.path.lexists(DEFAULT_SETTINGS) else DEFAULT_SETTINGS


def stamp_of(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def stamp(file: str) -> Stamp:
    """All 0 where there is no file."""
    try:
        return stamp_of(os.stat(file))
    except OSError:
        return Stamp()


def current(state_dir: StateDir, file: str, audit_dir: str = DEFAULT_AUDIT_DIR,
            compile_: Callable[[StateDir, str, str], None] | None = None) -> Policy:
    """What is in force: the compiled copy, made anew where the file is another than it was made from. Raises NotCompiled.

    audit_dir: where it is said that a file is invalid.
    """
    found = loaded(state_dir.policy)
    if found is not None and (found.file, found.stamp) == (file, stamp(file)):
        return found
    if found is None and stamp(file) == Stamp():
        return Policy(file=file)  # a host without settings needs no other process for that
    (compile_ or _compile_apart)(state_dir, file, audit_dir)
    found = loaded(state_dir.policy)
    if found is None or found.file != file:
        raise NotCompiled(CANNOT)
    return found


def loaded(path: str) -> Policy | None:
    """A compiled policy; None where there is none, or another version's."""
    try:
        with open(path, "rb") as file:
            return policy_from_bytes(file.read())
    except (FileNotFoundError, WireError):
        return None


def compile_now(state_dir: StateDir, file: str, compiled: Callable[[bytes, str, Stamp], Policy]) -> Policy:
    """Compiles `file` and puts it in force. Raises Invalid when the last good policy stays, which is in force then."""
    os.makedirs(state_dir.path, 0o711, exist_ok=True)
    with OwnedFd(os.open(f"{state_dir.policy}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        try:
            text, made_of = read(file)
            policy = compiled(text, file, made_of) if text is not None else Policy(file=file)
        except Invalid as error:
            _put(state_dir.policy, policy_to_bytes(after_error(_last_good(state_dir, compiled), file, stamp(file), error)))
            raise
        _put(state_dir.last_good_policy, text if text is not None else NOTHING)
        _put(state_dir.policy, policy_to_bytes(policy))
        return policy


def _last_good(state_dir: StateDir, compiled: Callable[[bytes, str, Stamp], Policy]) -> Policy | None:
    try:
        with open(state_dir.last_good_policy, "rb") as file:
            return compiled(file.read(), state_dir.last_good_policy, Stamp())
    except (FileNotFoundError, Invalid):  # an older version of ours may have taken what this one does not
        return None


def after_error(last: Policy | None, file: str, made_of: Stamp, error: Invalid) -> Policy:
    """What is in force while a file is invalid."""
    stays = "the last good policy stays" if last is not None else "nothing that needs an exception starts until it is mended"
    first = error.problems[0]
    more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
    problem = f"{file}: {first}{more}; {stays}"
    return replace(last or Policy(exceptions=False), file=file, stamp=made_of, problem=problem)


def read(file: str) -> tuple[bytes | None, Stamp]:
    """The text of a settings file that root alone can have written, None where there is none. Raises Invalid."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None, Stamp()
    except OSError as error:
        raise Invalid((Problem("", "", f"it cannot be read: {error.strerror}"),)) from error
    with open(fd, "rb") as opened:
        status = os.fstat(fd)
        if problems := tuple(_not_roots(file, status)):
            raise Invalid(problems)
        return opened.read(MAX_BYTES + 1), stamp_of(status)


def _not_roots(file: str, status: os.stat_result) -> list[Problem]:
    """Why somebody else than root can have written it."""
    if not stat.S_ISREG(status.st_mode):
        return [Problem("", "", "it is no regular file")]
    found = []
    if status.st_uid != 0:
        found.append(f"it belongs to user {status.st_uid}: chown root {file}")
    if status.st_mode & 0o022:
        found.append(f"it can be written by others than root: chmod go-w {file}")
    directory = os.path.dirname(os.path.realpath(file))
    while True:
        above = os.stat(directory)
        if above.st_uid != 0 or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
            found.append(f"its directory {directory} can be written by others than root: chown root {directory}; chmod go-w {directory}")
        if directory == "/":
            return [Problem("", "", text) for text in found]
        directory = os.path.dirname(directory)


def _put(path: str, content: bytes) -> None:
    fresh = f"{path}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
    os.rename(fresh, path)


def _compile_apart(state_dir: StateDir, file: str, audit_dir: str) -> None:
    """In a process of its own: what create imports is counted, and pydantic is not among it."""
    from eci_supervisor.oci import child

    child.output([sys.executable, "-I", "-m", "eci_supervisor.control.cli", "policy", "compile", f"--state-dir={state_dir.path}",
                  f"--settings={file}", f"--audit-dir={audit_dir}"])
