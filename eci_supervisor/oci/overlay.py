"""What an engine's overlay mount is made of, read from its line in mountinfo. Pure.

Some facts. The kernel shows options as they were given, with comma, blank, tab, newline and backslash as `\\ooo`. In what was given, a
colon separates lower layers, two of them begin the data-only ones, and a backslash makes the next character literal. Layers given one by
one are shown as `lowerdir+=` and `datadir+=`. An engine whose list was too long gave paths relative to a directory that is not shown.
"""
from collections.abc import Iterator
from dataclasses import dataclass

from eci_supervisor.mounts.mountinfo import unescape

# Options that change what the layers mean or what is written to them; ours must have them as the engine's has.
KEPT = ("metacopy", "redirect_dir", "userxattr", "volatile", "fsync")  # `volatile` is shown as fsync=volatile by newer kernels


class OverlayError(ValueError):
    """The options are no overlay's."""


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """lower, data: topmost first, as given (perhaps relative); upper is "" for a read-only overlay; kept: those of KEPT, as shown."""

    lower: tuple[str, ...]
    data: tuple[str, ...]
    upper: str
    kept: tuple[str, ...]

    @property
    def relative(self) -> tuple[str, ...]:
        """Paths that are relative to a directory that mountinfo does not show."""
        return tuple(path for path in (*self.lower, *self.data, self.upper) if path and not path.startswith("/"))


def parse_options(super_options: tuple[bytes, ...]) -> OverlayOptions:
    """The options of an overlay's superblock, raw as in mountinfo. Unknown ones are skipped: kernels add them. Raises OverlayError."""
    lower: list[str] = []
    data: list[str] = []
    upper = ""
    kept: list[str] = []
    for option in super_options:
        key, _, value = option.partition(b"=")
        match key:
            case b"lowerdir":
                lower, data = layers(value)
            case b"lowerdir+":
                lower.append(_text(unescape(value)))
            case b"datadir+":
                data.append(_text(unescape(value)))
            case b"upperdir":
                upper = _text(_literal(unescape(value)))
            case _:
                if _text(key) in KEPT:
                    kept.append(_text(unescape(option)))
    if not lower:
        raise OverlayError("an overlay without a lower layer")
    return OverlayOptions(tuple(lower), tuple(data), upper, tuple(kept))


def layers(value: bytes) -> tuple[list[str], list[str]]:
    """Lower and data-only layers of a `lowerdir=` value, raw as in mountinfo."""
    lower = [_text(part) for part in (_split(value) if b"\\" in value else value.split(b":"))]
    if "" not in lower:
        return lower, []
    begin = lower.index("")  # of `a:b::c::d`: the data-only layers
    return lower[:begin], [path for path in lower[begin:] if path]


def _split(value: bytes) -> list[bytes]:
    """The parts between the colons that separate: not those written as `\\072`, nor those behind a backslash (`\\134`)."""
    parts = [bytearray()]
    tokens = _characters(value)
    for character, escaped in tokens:
        if character == b":" and not escaped:
            parts.append(bytearray())
        elif character == b"\\":
            parts[-1] += next(tokens, (b"", False))[0]
        else:
            parts[-1] += character
    return [bytes(part) for part in parts]


def _characters(value: bytes) -> Iterator[tuple[bytes, bool]]:
    """Each character of a value, and whether it was written as `\\ooo`."""
    index = 0
    while index < len(value):
        character = unescape(value[index : index + 4])
        escaped = len(character) == 1 and value[index : index + 1] == b"\\" and index + 4 <= len(value)
        yield character if escaped else value[index : index + 1], escaped
        index += 4 if escaped else 1


def _literal(value: bytes) -> bytes:
    """A path in which a backslash makes the next character literal. Source: ovl_unescape(), fs/overlayfs/params.c."""
    first, *rest = value.split(b"\\")
    literal = bytearray(first)
    parts = iter(rest)
    for part in parts:
        literal += part or b"\\" + next(parts, b"")
    return bytes(literal)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
