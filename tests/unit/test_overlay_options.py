"""An engine's overlay, read from the options that the kernel shows."""
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.oci.overlay import OverlayError, OverlayOptions, parse_options

SHOWN = b", \t\n\\"
PATHS = st.lists(st.text("ab:,\\ /=", min_size=1, max_size=8).filter(lambda path: path.strip()), min_size=1, max_size=5)


def given_as(path: str) -> bytes:
    """A path in an option of mount(2): overlayfs takes a backslash for `the next one is literal`."""
    return b"".join(b"\\" + bytes((byte,)) if byte in b":\\" else bytes((byte,)) for byte in path.encode())


def shown(option: bytes) -> bytes:
    """As seq_show_option() of the kernel does."""
    return b"".join(b"\\%03o" % byte if byte in SHOWN else bytes((byte,)) for byte in option)


def parsed(text: bytes) -> OverlayOptions:
    return parse_options(tuple(text.split(b",")))


def test_docker() -> None:
    options = parsed(b"rw,lowerdir=/o/l/A:/o/l/B,upperdir=/o/1/diff,workdir=/o/1/work,index=off,nouserxattr")
    assert options == OverlayOptions(lower=("/o/l/A", "/o/l/B"), data=(), upper="/o/1/diff", kept=())
    assert options.relative == ()


def test_podman_and_what_must_be_taken_over() -> None:
    options = parsed(b"rw,lowerdir=/a,upperdir=/u,workdir=/w,redirect_dir=nofollow,metacopy=on,volatile,userxattr,xino=off")
    assert options.kept == ("redirect_dir=nofollow", "metacopy=on", "volatile", "userxattr")


def test_what_newer_kernels_show_for_volatile() -> None:
    assert parsed(b"rw,lowerdir=/a,upperdir=/u,workdir=/w,fsync=volatile").kept == ("fsync=volatile",)


def test_layers_given_one_by_one() -> None:
    options = parsed(b"rw,lowerdir+=/a,lowerdir+=/b\\054c,datadir+=/d,upperdir=/u,workdir=/w")
    assert (options.lower, options.data) == (("/a", "/b,c"), ("/d",))


def test_data_only_layers_of_one_string() -> None:
    options = parsed(b"ro,lowerdir=/a:/b::/c::/d")
    assert (options.lower, options.data, options.upper) == (("/a", "/b"), ("/c", "/d"), "")


def test_relative_layers_are_named() -> None:
    assert parsed(b"rw,lowerdir=l/A:/b,upperdir=1/diff,workdir=1/work").relative == ("l/A", "1/diff")


def test_a_colon_that_the_kernel_escaped_separates_nothing() -> None:
    assert parsed(b"ro,lowerdir=/a\\072b:/c").lower == ("/a:b", "/c")


@pytest.mark.parametrize("text", [b"", b"rw", b"rw,upperdir=/u,workdir=/w"])
def test_without_a_lower_layer_it_is_no_overlay(text: bytes) -> None:
    with pytest.raises(OverlayError):
        parsed(text)


@given(PATHS, PATHS)
def test_any_path_comes_back(lower: list[str], upper: list[str]) -> None:
    text = b"rw,lowerdir=" + shown(b":".join(given_as(path) for path in lower)) + b",upperdir=" + shown(given_as(upper[0])) + b",workdir=/w"
    options = parsed(text)
    assert (options.lower, options.upper) == (tuple(lower), upper[0])


@given(st.binary(max_size=60))
def test_junk_raises_nothing_else(text: bytes) -> None:
    with suppress(OverlayError):
        parsed(text)
