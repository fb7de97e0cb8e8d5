"""Test bodies in processes of their own: in a private mount namespace, or as a container's root. What they mount goes with them."""
import functools
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from eci_supervisor.idmap.maps import shifted
from eci_supervisor.idmap.userns import user_namespace
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.mount_api import clone_tree, mount, move_mount
from eci_supervisor.linux.mount_flags import MS_PRIVATE, MS_REC
from eci_supervisor.linux.namespaces import CLONE_NEWNS, CLONE_NEWUSER, setns, unshare
from eci_supervisor.model.ids import IdRange

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_child(body: Callable[[], Result]) -> Result:
    """The result of `body` in a forked child; an exception there is an AssertionError here, with the child's traceback."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(body, write)
    os.close(write)
    try:
        with open(read, "rb") as pipe:
            ok, answer = pickle.loads(pipe.read() or pickle.dumps((False, "the child died")))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if not ok:
        raise AssertionError(answer)
    result: Result = answer
    return result


def _answer(body: Callable[[], object], write: int) -> None:
    """The child's whole life. Whatever goes wrong, it does not go on as a second pytest."""
    try:
        answer = pickle.dumps((True, body()))
    except BaseException:  # noqa: BLE001 # the child's boundary: everything becomes the parent's failure
        answer = pickle.dumps((False, traceback.format_exc()))
    with open(write, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)


def isolated(test: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A test that runs in a child with a private mount namespace."""

    @functools.wraps(test)
    def wrapper(*arguments: Parameters.args, **named: Parameters.kwargs) -> None:
        def body() -> None:
            unshare(CLONE_NEWNS)
            mount("", "/", "", MS_REC | MS_PRIVATE)
            test(*arguments, **named)

        in_child(body)

    return wrapper


def as_container(ids: IdRange, body: Callable[[], Result]) -> Result:
    """The result of `body` as container root of that range, in a copy of our mount namespace that locks what was in it."""
    user = user_namespace(shifted(ids))

    def joined() -> Result:
        setns(user.fileno(), CLONE_NEWUSER)
        unshare(CLONE_NEWNS)
        os.setgroups([])
        os.setgid(0)
        os.setuid(0)
        return body()

    with user:
        return in_child(joined)


def errno_of(call: Callable[[], object]) -> int:
    """The errno that a call fails with, 0 if it does not."""
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def bind_from_outside(pid: int, source: Path, target: str) -> None:
    """A file of the host bound over one of the container that `pid` is in: what no create would bind, there all the same."""
    def body() -> None:
        with clone_tree(str(source)) as tree, OwnedFd(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)) as namespace:
            setns(namespace.fileno(), CLONE_NEWNS)
            move_mount(tree.fileno(), target)

    in_child(body)
