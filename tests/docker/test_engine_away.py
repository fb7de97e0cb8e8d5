"""The engine stopped, started again, and too slow, behind the relay: one sentence, and nothing of a client that has gone is left."""
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.engine import Engine
from tests.support.gateway import Gateway, request
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "docker", "dockerd", "busybox", "runc", "seccomp_notify", "fuse")
PING = request("GET", "/v1.41/_ping")


def open_files(gateway: Gateway) -> int:
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def warm(gateway: Gateway) -> int:
    """How many it has open once it has answered and refused."""
    gateway.bytes(PING)
    gateway.bytes(request("GET", "/unknown"))
    return open_files(gateway)


@contextmanager
def stuck(engine: Engine) -> Iterator[None]:
    """Its dockerd takes connections, for the kernel does, and answers nothing."""
    pid = int((engine.directory / "docker.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_engine_that_is_stopped_and_started(gateway: Gateway, engine: Engine) -> None:
    """What waits on it ends, what asks it is told, and with the next request it is there again."""
    before = warm(gateway)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(20)
        waiting.connect(str(gateway.socket))
        waiting.sendall(b"GET /v1.41/events HTTP/1.1\r\nHost: d\r\n\r\n")
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
        engine.stop()
        try:
            while waiting.recv(65536):
                pass
            answer = gateway.bytes(PING)
            done = gateway.docker("ps")
        finally:
            engine.start()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert f"docker socket: the engine does not answer on {engine.socket}".encode() in answer
    assert f"the engine does not answer on {engine.socket}" in done.err
    gateway.docker("ps").ok()
    wait_until(lambda: open_files(gateway) <= before, "every connection is closed, the engine's too")


def test_an_engine_that_answers_nothing(gateway: Gateway, engine: Engine) -> None:
    """Whoever waits for it may go at any time; whoever stays is answered when it answers again."""
    before = warm(gateway)
    create = request("POST", "/v1.41/containers/create", b'{"Image":"box"}')
    chunked = (b"Content-Type: application/x-tar", b"Transfer-Encoding: chunked")
    upload = request("POST", "/v1.41/images/load", b"", *chunked) + b"5\r\nabcde\r\n"
    with socket.socket(socket.AF_UNIX) as stays:
        stays.settimeout(20)
        stays.connect(str(gateway.socket))
        with stuck(engine):
            stays.sendall(PING)
            for raw in (PING, create, upload, b"GET /v1.41/containers/x/json HTTP/1.1\r\nHost: d\r\n\r\n"):
                with socket.socket(socket.AF_UNIX) as goes:
                    goes.connect(str(gateway.socket))
                    goes.sendall(raw)
            wait_until(lambda: open_files(gateway) <= before + 2, "what has gone is forgotten")
        assert stays.recv(65536).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: open_files(gateway) <= before, "every connection is closed")


def test_a_crowd_of_clients_that_ask_nothing(gateway: Gateway) -> None:
    """More than the relay keeps: whoever does ask is served, and they are closed one by one."""
    before = warm(gateway)
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(400)]
    try:
        for index, one in enumerate(crowd):
            one.connect(str(gateway.socket))
            one.settimeout(20)
            if index % 2:
                one.sendall(b"GET /_pi")
        assert gateway.bytes(PING).startswith(b"HTTP/1.1 200 ")
        assert crowd[0].recv(1) == b""
    finally:
        for one in crowd:
            one.close()
    wait_until(lambda: open_files(gateway) <= before, "every connection is closed")
