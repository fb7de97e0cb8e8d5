"""mountinfo: real lines, and whatever a kernel could write."""
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.mounts.mountinfo import MountinfoError, parse_line, parse_mountinfo, unescape

SHARED = rb"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue"
ESCAPED = b" \t\n\\#"


def escape(path: bytes) -> bytes:
    """As mangle_path() of the kernel does."""
    return b"".join(b"\\%03o" % byte if byte in ESCAPED else bytes((byte,)) for byte in path)


def test_a_line_with_everything() -> None:
    entry = parse_line(SHARED)
    assert (entry.id, entry.parent, entry.major, entry.minor) == (36, 35, 98, 0)
    assert (entry.root, entry.path) == (b"/mnt1", b"/mnt 2\\x")
    assert entry.optional == (b"shared:1", b"master:2")
    assert (entry.fstype, entry.source, entry.super_options) == (b"ext3", b"/dev/root", (b"rw", b"errors=continue"))


def test_what_is_below_is_no_matter_of_spelling_alone() -> None:
    entry = parse_line(b"1 0 0:1 / /a/bc rw - tmpfs t rw")
    assert entry.below(b"/a")
    assert entry.below(b"/a/bc")
    assert entry.below(b"/")
    assert not entry.below(b"/a/b")


def test_our_own_table_is_read() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read()
    assert len(parse_mountinfo(text)) == text.count(b"\n")


@pytest.mark.parametrize("line", [b"", b"x", b"1 2 3 4 5 6", b"1 2 0:1 / / rw ext4 /dev/x rw", b"a" + SHARED, SHARED + b" y"])
def test_anything_else_is_an_error_of_this_module(line: bytes) -> None:
    with pytest.raises(MountinfoError):
        parse_line(line)


@given(st.binary(max_size=60))
def test_junk_raises_nothing_else(text: bytes) -> None:
    with suppress(MountinfoError):
        parse_mountinfo(text)


@given(st.binary(max_size=30).filter(lambda path: b"\0" not in path))
def test_escapes_are_undone(path: bytes) -> None:
    assert unescape(escape(path)) == path
