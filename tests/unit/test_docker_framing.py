"""Bodies as they come off a connection, in any pieces: what is of the body, and where it ends."""
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker.framing import LAST_CHUNK, MAX_LINE_BYTES, BadFraming, Body, Chunks, Length, Rest, chunk

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def fed(body: Body, *pieces: bytes) -> tuple[bytes, bytes]:
    """The body, and what is behind it. Raises BadFraming."""
    found = b""
    for index, piece in enumerate(pieces):
        found += body.feed(piece)
        if body.done:
            return found, body.beyond + b"".join(pieces[index + 1 :])
    body.ended()
    return found, b""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """In pieces, none empty."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(marks)]


places = st.lists(st.integers(0, 10_000), max_size=6)


@given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=20), places)
def test_chunks_in_any_pieces(contents: list[bytes], behind: bytes, where: list[int]) -> None:
    whole = b"".join(map(chunk, contents)) + LAST_CHUNK + behind
    assert fed(Chunks(), *cut(whole, where)) == (b"".join(contents), behind)


@given(st.binary(max_size=60), st.binary(max_size=20), places)
def test_a_length_in_any_pieces(content: bytes, behind: bytes, where: list[int]) -> None:
    if content:
        assert fed(Length(len(content)), *cut(content + behind, where)) == (content, behind)


def test_the_rest_ends_with_the_connection() -> None:
    assert fed(Rest(), b"a", b"b") == (b"ab", b"")


@pytest.mark.parametrize("raw", [
    b"1;name=value\r\na\r\n0\r\n\r\n", b"1 ;x\r\na\r\n0\r\n\r\n", b"1\r\na\r\n0\r\nTrailer: x\r\n\r\n",
    b"0001\r\na\r\n000;x\r\nA: b\r\nC: d\r\n\r\n",
])  # fmt: skip
def test_extensions_and_trailers_are_dropped(raw: bytes) -> None:
    assert fed(Chunks(), raw + b"next") == (b"a", b"next")


@pytest.mark.parametrize("raw", [
    b"+1\r\na\r\n0\r\n\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"-1\r\na\r\n0\r\n\r\n", b" 1\r\na\r\n0\r\n\r\n", b"1\na\n0\n\n", b"\r\n", b"g\r\n",
    b"1\r\nab\r\n0\r\n\r\n", b"1\r\na0\r\n\r\n", b"1000000000000000\r\n", b"1;\x00\r\na\r\n0\r\n\r\n", b"1;a\rb\r\na\r\n0\r\n\r\n",
    b"0\r\na\nb\r\n\r\n", b"0\r\na\x00\r\n\r\n",
    b"0;" + b"x" * MAX_LINE_BYTES + b"\r\n\r\n", b"0\r\n" + b"a: b\r\n" * 5000 + b"\r\n", b"1\r\na", b"1\r\na\r\n", b"1\r\na\r\n0\r\n",
])  # fmt: skip
def test_framing_that_is_none(raw: bytes) -> None:
    with pytest.raises(BadFraming):
        fed(Chunks(), raw)


@given(st.lists(st.sampled_from([b"1\r\n", b"a\r\n", b"0\r\n", b"\r\n", b"2;x=y\r\n", b"A: b\r\n", b"\n", b"\r", b"x", b"F\r\n"]),
                max_size=12))  # fmt: skip
def test_what_is_taken_is_taken_alike_by_another_reader(parts: list[bytes]) -> None:
    """Ours is the stricter of the two, and never reads another body out of the same bytes."""
    raw = b"".join(parts)
    try:
        body, behind = fed(Chunks(), raw)
    except BadFraming:
        return
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(HEAD + raw)
    theirs.next_event()
    read = b""
    while isinstance(event := theirs.next_event(), h11.Data):
        read += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert (read, theirs.trailing_data[0]) == (body, behind)
