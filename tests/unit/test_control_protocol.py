"""The control socket's lines: what is packed is parsed, and junk raises ProtocolError alone."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.control import protocol
from eci_supervisor.control.protocol import Attach, Events, Inspect, Lines, ProtocolError, Prove, Request, Stop

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["v", "do", "state", "pid", "id", "after"])
                                                                                | st.text(), inner, max_size=4), max_leaves=8)


@pytest.mark.parametrize("request_", [Attach("web1", 4711), Prove(), Stop(), Inspect(), Events(), Events(follow=True, after=12)])
def test_requests_survive_the_wire(request_: Request) -> None:
    packed = protocol.pack_request(request_)
    assert packed.count(b"\n") == 1
    assert protocol.parse_request(packed[:-1]) == request_


def test_the_hook_passes_the_runtimes_state_as_it_came() -> None:
    line = b'{"v":1,"do":"attach","state":{ "ociVersion": "1.0.2", "id": "web1",  "status":"creating", "pid": 12, "annotations":{"a":""}}}'
    assert protocol.parse_request(line) == Attach("web1", 12)


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode())
       | JSON.map(lambda value: json.dumps({"v": 1, "do": "attach", "state": value}).encode())
       | JSON.map(lambda value: json.dumps({"v": 1, "do": "events", "follow": value, "after": value}).encode()))
def test_junk_is_a_protocol_error(line: bytes) -> None:
    for parse in (protocol.parse_request, protocol.parse_answer):
        try:
            parse(line)
        except ProtocolError:
            continue


def test_a_million_brackets_are_no_recursion_error() -> None:
    with pytest.raises(ProtocolError):
        protocol.parse_request(b"[" * 1_000_000)


@pytest.mark.parametrize("pid", ["0", "-1", "2147483648", "true", '"1"', "1.5"])
def test_a_pid_is_a_pid(pid: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.parse_request(b'{"v":1,"do":"attach","state":{"id":"a","pid":%s}}' % pid.encode())


@given(st.lists(st.binary(max_size=20).filter(lambda part: b"\n" not in part), max_size=6), st.integers(1, 9))
def test_lines_come_out_however_the_stream_is_cut(lines: list[bytes], step: int) -> None:
    stream, cutter, out = b"".join(line + b"\n" for line in lines), Lines(), []
    for at in range(0, len(stream), step):
        out += cutter.feed(stream[at:at + step])
    assert out == lines


@pytest.mark.parametrize("stream", [b"x" * 11, b"x" * 11 + b"\n", b"a\n" + b"x" * 11])
def test_a_line_is_bounded(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        Lines(limit=10).feed(stream)


def test_an_error_is_raised_with_the_others_sentence() -> None:
    with pytest.raises(ProtocolError, match="no free id range"):
        protocol.parse_answer(protocol.failed("no free id range"))
    assert protocol.parse_answer(protocol.done({"live": {"pid": 1}})) == {"ok": True, "live": {"pid": 1}}
