"""What is no target, and that a target is written as it was read."""
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker.target import REPEATED, MalformedRequest, Target, UnsupportedVersion, parse


@pytest.mark.parametrize("raw", [
    b"", b"*", b"http://h/v1.41/info", b"docker:2375", b"info", b"//info", b"/v1.41//info", b"/v1.41/containers//json", b"/info/",
    b"/./info", b"/a/../info", b"/a/%2e%2e/info", b"/a%2f..%2finfo",
    b"/images/a%2Fb/json", b"/info%00", b"/info;x", b"/in%2566o", b"/%2", b"/%zz", b"/in fo",
    b"/info\x7f", b"/inf\xc3\xb6", b"/inf%c3%b6", b"/info#x", b"/v1.041/info", b"/v01.41/info", b"/v1.41./info", b"/v%31.41/info",
    b"/%761.41/info", b"/v1/info", b"/v2.0/info", b"/v1.41", b"/v1.41/v1.41/info", b"/v1.41/v1.24/info", b"/info?a=%", b"/info?a=1;b=2",
    b"/info?a=1&a=2", b"/info?a=1&%61=2", b"/info?=1", b"/info?a&&b", b"/info?a=%ff", b"/info?a=%00", b"/" + b"a" * 20000,
])  # fmt: skip
def test_what_could_be_read_in_two_ways_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(raw)


@pytest.mark.parametrize(("raw", "says"), [(b"/v1.23/info", "too old"), (b"/v1.0/info", "too old"), (b"/v1.57/info", "too new")])
def test_the_engines_words_for_versions(raw: bytes, says: str) -> None:
    with pytest.raises(UnsupportedVersion, match=says):
        parse(raw)


@pytest.mark.parametrize(("raw", "target", "written"), [
    (b"/info", Target("/info"), b"/v1.41/info"),
    (b"/v1.24/info", Target("/info", 24), b"/v1.24/info"),
    (b"/volumes/x", Target("/volumes/x"), b"/v1.41/volumes/x"),
    (b"/v1.40/images/reg%3A5000/a/json", Target("/images/reg:5000/a/json", 40), b"/v1.40/images/reg:5000/a/json"),
    (b"/v1.40/build?t=a&t=b&q=", Target("/build", 40, (("t", "a"), ("t", "b"), ("q", ""))), b"/v1.40/build?t=a&t=b&q="),
    (b"/v1.40/containers/json?filters=%7B%7D&all=1", Target("/containers/json", 40, (("filters", "{}"), ("all", "1"))),
     b"/v1.40/containers/json?filters=%7B%7D&all=1"),
    (b"/events?since=a+b", Target("/events", None, (("since", "a b"),)), b"/v1.41/events?since=a+b"),
])  # fmt: skip
def test_a_target_is_read_and_written(raw: bytes, target: Target, written: bytes) -> None:
    assert parse(raw) == target
    assert target.to_bytes(41) == written


@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
def test_what_passes_is_read_alike_by_another_parser(raw: bytes) -> None:
    try:
        target = parse(raw)
    except (MalformedRequest, UnsupportedVersion):
        return
    written = target.to_bytes(41)
    assert parse(written) == Target(target.path, 41 if target.minor is None else target.minor, target.query)
    split = urlsplit(written.decode())
    assert unquote(split.path) == f"/v1.{target.minor or 41}{target.path}"
    assert tuple(parse_qsl(split.query, keep_blank_values=True)) == target.query


@given(st.lists(st.tuples(st.text(min_size=1).filter(lambda t: "\0" not in t), st.text().filter(lambda t: "\0" not in t)), max_size=4))
def test_any_query_survives(pairs: list[tuple[str, str]]) -> None:
    keys = [key for key, _ in pairs]
    if any(keys.count(key) > 1 and key not in REPEATED for key in keys):
        return
    target = Target("/events", 41, tuple(pairs))
    assert parse(target.to_bytes(41)) == target
