"""A runtime's ContainerProcessState, whole, in pieces, and as junk."""
import json
import os
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.sockets import send_with_fds
from eci_supervisor.seccomp.listener import LIMIT_BYTES, ListenerError, StateReader, parse, receive, taken

STATE = {
    "ociVersion": "1.0.2-dev", "fds": ["seccompFd"], "pid": 4422, "metadata": "token",
    "state": {"ociVersion": "0.2.0", "id": "web1", "status": "creating", "pid": 4422, "bundle": "/b", "annotations": {"a": "}"}},
}
TEXT = json.dumps(STATE).encode()


def test_a_state() -> None:
    state = parse(TEXT)
    assert (state.pid, state.container_pid, state.metadata, state.status, state.fds) == (4422, 4422, "token", "creating", ("seccompFd",))


def test_cruns_exec_says_no_pid() -> None:
    assert parse(b'{"fds":["seccompFd"],"state":{"status":"running"}}').pid == 0


@given(st.lists(st.integers(0, len(TEXT)), max_size=5))
def test_pieces_are_one_state_with_the_last_of_them(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts) - {0, len(TEXT)}), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in pairwise(edges)]
    reader = StateReader()
    states = [reader.feed(piece) for piece in pieces]
    assert states[:-1] == [None] * (len(pieces) - 1)
    assert states[-1] == parse(TEXT)


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["fds", "state", "status", "pid", "metadata"]), inner, max_size=4)).map(lambda value: json.dumps(value).encode())))
def test_junk_is_refused_by_our_own_error(text: bytes) -> None:
    try:
        parse(text)
        StateReader().feed(text)
    except ListenerError:
        return


def test_a_state_without_end_is_refused() -> None:
    with pytest.raises(ListenerError, match="longer"):
        StateReader().feed(b"{" + b" " * LIMIT_BYTES)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ListenerError):
        parse(b"[" * 100_000)


@pytest.fixture
def pipe() -> Iterator[tuple[OwnedFd, OwnedFd]]:
    ends = [OwnedFd(fd) for fd in os.pipe2(os.O_CLOEXEC)]
    yield ends[0], ends[1]
    for end in ends:
        end.close()


def test_the_listener_is_the_fd_of_its_name(pipe: tuple[OwnedFd, OwnedFd]) -> None:
    first, second = pipe
    number = second.fileno()
    chosen = taken(parse(TEXT.replace(b'["seccompFd"]', b'["other", "seccompFd"]')), [first, second])
    assert chosen.fileno() == number
    with pytest.raises(ValueError, match="closed"):
        first.fileno()


async def received(*messages: tuple[bytes, list[int]], closing: bool = False) -> OwnedFd:
    """What receive makes of messages that come one after the other on a connection that stays open."""
    ours, theirs = socket.socketpair()
    with theirs:
        connection = trio.socket.from_stdlib_socket(ours)
        with connection:
            for payload, fds in messages:
                send_with_fds(theirs, payload, fds)
            if closing:
                theirs.shutdown(socket.SHUT_RDWR)
            with trio.fail_after(5):
                return (await receive(connection)).fd


def test_it_is_served_before_the_runtime_closes(pipe: tuple[OwnedFd, OwnedFd]) -> None:
    with trio.run(received, (TEXT[:50], [pipe[0].fileno()]), (TEXT[50:], [])) as fd:
        assert os.fstat(fd.fileno()) == os.fstat(pipe[0].fileno())
        assert not os.get_inheritable(fd.fileno())


def test_a_runtime_that_dies_halfway_leaves_no_fd(pipe: tuple[OwnedFd, OwnedFd]) -> None:
    async def halfway() -> None:
        await received((TEXT[:50], [pipe[0].fileno()]), closing=True)

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ListenerError, match="closed the connection"):
        trio.run(halfway)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_state_without_its_fd_is_refused() -> None:
    with pytest.raises(ListenerError, match="without seccompFd"):
        trio.run(received, (TEXT, []))
