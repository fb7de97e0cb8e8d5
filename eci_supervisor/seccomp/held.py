"""Names of a call that have been looked up for a rule, as the mounter holds them until the call is done. Pure.

They are descriptors of its from FIRST on, in the order of the names, which are counted from 1. Options of a new file system name
them as paths of the mounter's own procfs, on which it stands then; the file of a FUSE server by its number, DEVICE.
"""
import re
from typing import Final

from eci_supervisor.model.verdict import Named

FIRST: Final = 512  # HELD of native/mounter.h
DEVICE: Final = FIRST
MOST: Final = 398
NUMBER: Final = re.compile(rb"[0-9]{1,9}")
LAYERS: Final = (b"lowerdir", b"upperdir", b"workdir", b"lowerdir+", b"datadir+")
ROOT: Final = Named(b"/")


def held(number: int) -> bytes:
    """The path of an effect that is name `number`."""
    return b"%d" % number


def in_options(number: int) -> bytes:
    return b"self/fd/%d" % (FIRST + number)


def rewritten(fstype: bytes, options: bytes, first: int, *, every_layer: bool) -> tuple[bytes, tuple[Named, ...]]:
    """The options with what is to be looked up as held, from number `first` on, and the names of that.

    That is layers of an overlay that depend on where one stands, or all of them. Raises ValueError for layers with
    a backslash, which says what a comma or colon is, and for too many.
    """
    if fstype.partition(b".")[0] != b"overlay":
        return options, ()
    names: list[Named] = []
    parts = []
    for option in options.split(b","):
        key, is_set, value = option.partition(b"=")
        if key in LAYERS:
            value = b":".join(_layer(layer, names, first, every_layer=every_layer) for layer in value.split(b":"))
        parts.append(key + is_set + value)
    if first + len(names) > MOST or (names and b"\\" in options):
        raise ValueError("layers that cannot be looked up")
    return b",".join(parts), tuple(names)


def _layer(path: bytes, names: list[Named], first: int, *, every_layer: bool) -> bytes:
    if not path or (path.startswith(b"/") and not every_layer):
        return path
    names.append(Named(path))
    return in_options(first + len(names) - 1)


def with_device(fstype: bytes, options: bytes) -> tuple[bytes, int]:
    """The options with the caller's number of /dev/fuse made DEVICE, and that number: the last, -1 for none. Raises ValueError."""
    parts = options.split(b",")
    named = [part.removeprefix(b"fd=") for part in parts if part.startswith(b"fd=")]
    if fstype.partition(b".")[0] != b"fuse" or not named:
        return options, -1
    if not NUMBER.fullmatch(named[-1]):
        raise ValueError("no number of a descriptor")
    return b",".join(b"fd=%d" % DEVICE if part.startswith(b"fd=") else part for part in parts), int(named[-1])
