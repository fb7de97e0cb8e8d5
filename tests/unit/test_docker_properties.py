"""What holds of every request: whatever passes is read by another parser as it was judged, and nothing more."""
import json
import re
from typing import Any

import h11
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker import head, strict_json
from eci_supervisor.docker.bodies import Asked, BodyRefused, Schema
from eci_supervisor.docker.decision import Refused, decide
from eci_supervisor.docker.requests import SCHEMAS, rebuilt
from eci_supervisor.docker.route import Route
from eci_supervisor.docker.routes import ROUTES
from eci_supervisor.docker.target import MalformedRequest
from eci_supervisor.model.settings import CommandList, Image, Rights
from eci_supervisor.settings.reference import MalformedReference, Reference, covers, parse_entry, parse_image, parse_repo_digest, rank

RIGHTS = Rights("", "/s", "eci-runc", Image("", ""), "", CommandList(commands=("image tag",)))
NAME = "f" * 64

tokens = st.sampled_from([
    b"GET", b"POST", b" ", b"  ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b":", b": ", b"Host: d", b"Host", b"HTTP/1.1", b"HTTP/1.0", b"/info",
    b"/v1.41/info", b"http://d/", b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Connection: Upgrade",
    b"Upgrade: tcp", b"X: y", b"Content-Type: application/json", b"\xff", b";", b"a",
])  # fmt: skip


@given(st.lists(tokens, max_size=14), st.booleans())
def test_a_head_that_passes_is_read_alike_by_h11(parts: list[bytes], plain: bool) -> None:
    """Ours takes less, and reads nothing else."""
    raw = (b"GET /info HTTP/1.1\r\nHost: d\r\n" if plain else b"") + b"".join(parts) + b"\r\n\r\n"
    raw = raw[: raw.index(b"\r\n\r\n") + 4]
    try:
        found = head.parse(raw)
    except MalformedRequest:
        return
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(raw)
    try:
        event = theirs.next_event()
    except h11.RemoteProtocolError:
        return
    assert isinstance(event, h11.Request)
    assert (event.method.decode(), event.target) == (found.method, found.target)
    assert [(bytes(name), value.strip()) for name, value in event.headers] == [(name, value.strip()) for name, value in found.headers]


headers = st.lists(st.tuples(st.sampled_from([b"Accept", b"User-Agent", b"Upgrade", b"X-Registry-Auth", b"Cookie", b"Content-Length",
                                              b"Te"]),
                             st.binary(max_size=8)), max_size=5)  # fmt: skip


@given(st.sampled_from(ROUTES), headers, st.sampled_from([b"", b"?all=1", b"?x=%20y&z=", b"/..", b"%2f", b"//"]))
def test_what_is_forwarded_is_what_was_judged(route: Route, came: list[tuple[bytes, bytes]], tail: bytes) -> None:
    """A permitted target, written anew, is permitted as the same route and place; nothing of its head is passed on but what is listed."""
    path = re.sub(r"\{[a-z]+\*?\}", "a1", route.path)
    target = f"/v1.{route.until}{path}".encode() + (b"?" + route.query.encode() if route.query else b"") + tail
    raw = b"%s %s HTTP/1.1\r\nHost: d\r\n" % (route.method.encode(), target) + b"".join(b"%s: %s\r\n" % pair for pair in came) + b"\r\n"
    try:
        found = head.parse(raw)
        permitted = decide(found, RIGHTS)
    except (MalformedRequest, Refused):
        return
    again = decide(head.Head(found.method, permitted.target.to_bytes(41), found.headers), RIGHTS)
    assert (again.route, again.place, again.target) == (permitted.route, permitted.place, permitted.target)
    kept = head.kept(found, permitted.route.upgrades)
    assert {name for name, _ in kept} <= {b"accept", b"user-agent", b"upgrade", b"x-registry-auth"}
    assert permitted.route.hijack or b"upgrade" not in dict(kept)


def keys(schema: Schema) -> list[str]:
    """Every key that stands anywhere in a schema."""
    found: list[str] = []
    for key, inner in schema.items():
        found.append(key)
        for one in inner if isinstance(inner, list) else [inner]:
            found += keys(one) if isinstance(one, dict) else []
    return found


ALL = sorted({key for schema in SCHEMAS.values() for key in keys(schema)} | {"Source", "Target", "Type", "unheard", "binds"})
values: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, -1, "", "host", "container:x", "bind", "volume", "tmpfs", "/etc",
                                                  "/a/../b", [], {}, "local", 1.5])
trees = st.recursive(values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(ALL), inner, max_size=4),
                     max_leaves=12)


@given(st.sampled_from(sorted(SCHEMAS)), st.dictionaries(st.sampled_from(ALL), trees, max_size=5))
def test_a_body_that_passes_stays_as_it_is(row: tuple[str, str], body: dict[str, Any]) -> None:
    """Rebuilt again it is the same, no key of it is another's folded, and only keys of the schema are in it."""
    asked = Asked("eci-runc", ours={"x": NAME, NAME: NAME})
    try:
        made = rebuilt(*row, body, asked)
    except (BodyRefused, MalformedRequest):
        return
    assert rebuilt(*row, made, asked) == made
    assert set(made) <= set(SCHEMAS[row])
    assert len({strict_json.folded(key) for key in made}) == len(made)
    assert strict_json.loads(strict_json.dumps(made)) == made


json_pieces = st.sampled_from(['{', '}', '[', ']', ',', ':', '"a"', '"A"', '"\\u0061"', '"\u017f"', "1", "-0", "1e5", "null", "true",
                               " ", "\\", '"', "NaN"])


@given(st.lists(json_pieces, max_size=14))
def test_json_that_passes_is_read_alike_by_a_lenient_parser(parts: list[str]) -> None:
    raw = "".join(parts)
    try:
        found = strict_json.loads(raw.encode())
    except MalformedRequest:
        return
    assert json.loads(raw) == found
    assert json.loads(strict_json.dumps(found)) == found


components = st.from_regex(r"[a-zA-Z0-9*._-]{0,6}", fullmatch=True)
written = st.builds(
    lambda registry, path, tag, digest: registry + "/".join(path) + tag + digest,
    st.sampled_from(["", "docker.io/", "INDEX.docker.io/", "reg:5000/", "localhost/", "*.io/", "[::1]:5/", "a.b/"]),
    st.lists(components, max_size=3),
    st.sampled_from(["", ":latest", ":*", ":1*", ":", ":a b", f":{'t' * 129}"]),
    st.sampled_from(["", f"@sha256:{'d' * 64}", f"@sha256:{'D' * 64}", "@sha512:" + "e" * 128, "@"]),
)


@given(written)
def test_a_reference_that_passes_means_the_same_written_in_full(text: str) -> None:
    for parse in (parse_entry, parse_image, parse_repo_digest):
        try:
            found = parse(text)
        except MalformedReference:
            continue
        assert parse(str(found)) == found
        assert "*" not in found.registry
        assert parse is parse_entry or "*" not in str(found)
        assert rank(found) == rank(parse(str(found)))


def slow_match(pattern: str, text: str) -> bool:
    """A glob, letter by letter: `*` is any run without a slash."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return slow_match(pattern[1:], text) or (bool(text) and text[0] != "/" and slow_match(pattern, text[1:]))
    return bool(text) and pattern[0] == text[0] and slow_match(pattern[1:], text[1:])


@given(st.from_regex(r"[ab*/.]{1,7}", fullmatch=True), st.from_regex(r"[ab/.]{1,7}", fullmatch=True), st.sampled_from(["*", "1", "1*"]))
def test_a_glob_means_what_it_says(pattern: str, path: str, tag: str) -> None:
    entry, image = Reference("docker.io", pattern, tag), Reference("docker.io", path, "1")
    assert covers(entry, image) == (slow_match(pattern, path) and slow_match(tag, "1"))
