"""The fork server's packets: what is packed is parsed, and junk raises ProtocolError alone."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import (
    MAX_PACKET_BYTES,
    Answer,
    Deleted,
    Done,
    Failed,
    OtherVersion,
    Ping,
    ProtocolError,
    Ready,
    Reclaim,
    Request,
    Spawn,
    Watch,
)

KEY = "0123456789abcdef0123"


@pytest.mark.parametrize("request_", [Spawn(KEY), Reclaim("/run/runc", "web1"), Reclaim("", "a\udcff"), Watch(KEY), Ping("9.9")])
def test_requests_survive_the_wire(request_: Request) -> None:
    assert protocol.parse_request(protocol.pack_request(request_)) == request_


def test_what_the_front_says_of_a_delete() -> None:
    assert protocol.parse_request(b"deleted\x009.9\0/usr/bin/runc\x003") == Deleted("/usr/bin/runc", 3, "9.9")
    for packet in (b"deleted\x009.9\0runc\x003", b"deleted\x009.9\0/runc\0x"):
        with pytest.raises(ProtocolError):
            protocol.parse_request(packet)


@pytest.mark.parametrize("answer", [Ready(4711), Done(), Done(12), Failed("one sentence"), OtherVersion("0.0.1")])
def test_answers_survive_the_wire(answer: Answer) -> None:
    assert protocol.parse_answer(protocol.pack_answer(answer)) == answer


@given(st.binary(max_size=200) | st.sampled_from([b"spawn\0", b"reclaim\0v\0r", b"ready\0-1", b"ok\0" + b"9" * 30, b"ready\0\xd9\xa1"]))
def test_junk_is_a_protocol_error(packet: bytes) -> None:
    for parse in (protocol.parse_request, protocol.parse_answer):
        try:
            parse(packet)
        except ProtocolError:
            continue


@pytest.mark.parametrize("key", ["", "../../etc", "0" * 19, "0" * 21, "G" * 20, "0" * 20 + "\n"])
def test_a_key_is_twenty_hexadecimal_digits(key: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.parse_request(b"\0".join((b"spawn", b"1", key.encode())))


def test_a_field_with_nul_is_never_sent() -> None:
    with pytest.raises(ProtocolError):
        protocol.pack_request(Reclaim("/run/runc", "a\0b"))


def test_a_packet_is_bounded() -> None:
    with pytest.raises(ProtocolError):
        protocol.parse_request(b"ping\0" + b"1" * MAX_PACKET_BYTES)


@given(st.text())
def test_a_sentence_fits_one_line_and_one_packet(text: str) -> None:
    packet = protocol.pack_answer(Failed(text))
    assert len(packet) <= MAX_PACKET_BYTES
    answer = protocol.parse_answer(packet)
    assert isinstance(answer, Failed)
    assert "\n" not in answer.sentence
    assert "\x1b" not in answer.sentence
