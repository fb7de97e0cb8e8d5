"""What every supervisor will do, done before the first fork: the less a child changes for good, the less memory it has for itself.

Some facts about CPython 3.11: types, code and dictionaries fill caches in place when they are first used, names are interned, tables
grow; code that has run eight times is specialized. A supervisor that does all of it in its own life has 1.2 MiB of 6 for that alone. So
the server supervises a container that never comes: a whole start, from its record to `ready`, and an end.
"""
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eci_supervisor.forkserver import protocol
from eci_supervisor.life import record
from eci_supervisor.linux.pages import other_threads
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.ids import IdRange
from eci_supervisor.model.state import ContainerState, Mode, container_key
from eci_supervisor.seccomp import serve

ROUNDS = 2  # the second sees the caches that the first has filled; further ones change little
THREAD_PATIENCE_S, THREAD_STEP_S = 1.0, 0.001
NAME = "rehearsal"
Supervise = Callable[[StateDir, str, socket.socket, Callable[[], None]], None]


def rehearse(state_dir: StateDir, supervise: Supervise) -> None:
    """Compiles the rules and has `supervise` run, in a state directory of its own below `state_dir`, of which nothing is left.

    Raises OSError where it cannot serve: later ones will not either.
    """
    serve.prepare()
    place = StateDir(f"{state_dir.path}/{NAME}")
    shutil.rmtree(place.path, ignore_errors=True)  # of a server that was killed
    with _as_before():
        try:
            for _ in range(ROUNDS):
                _round(place, supervise)
        finally:
            shutil.rmtree(place.path)
    until_s = time.monotonic() + THREAD_PATIENCE_S
    while other_threads() and time.monotonic() < until_s:
        time.sleep(THREAD_STEP_S)  # the one that has read the nodes is on its way out


def _round(place: StateDir, supervise: Supervise) -> None:
    key = container_key("/", NAME)
    os.makedirs(place.container(key).path, exist_ok=True)
    os.makedirs(place.staging, exist_ok=True)
    record.store(place.container(key), ContainerState(
        key, NAME, root="/", bundle="/", mode=Mode.ECI, ids=IdRange(100000), token=NAME, real_runtime="/", audit_dir=f"{place.path}/audit",
        created=time.time(), rootfs="/"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)  # create is gone: a supervisor that has become ready ends
        supervise(place, key, theirs, lambda: None)
        answer = protocol.parse_answer(ours.recv(protocol.MAX_PACKET_BYTES, socket.MSG_DONTWAIT))
    if isinstance(answer, protocol.Failed):
        raise OSError(answer.sentence)


@contextmanager
def _as_before() -> Iterator[None]:
    """Undoes what a supervisor does to its process besides: its name, its stderr, who is told what modules log."""
    stderr, handlers = os.dup(2), list(logging.getLogger().handlers)
    with open("/proc/self/comm", "rb+", buffering=0) as name:
        before = name.read()
        try:
            yield
        finally:
            name.write(before.rstrip(b"\n"))
            logging.getLogger().handlers[:] = handlers
            os.dup2(stderr, 2)
            os.close(stderr)
