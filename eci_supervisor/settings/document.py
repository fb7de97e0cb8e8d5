r"""JSON as the admin wrote it: strict, and with the line of each value. Pure.

Some facts. json.loads takes the last of two equal keys, NaN and lone surrogates, and forgets where anything stood; a refusal has to
name the line that an admin may change. Docker's manual shows `"container\*"`, which is not JSON: said by name, with the cure.
"""
import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined] # the decoder's own; typeshed leaves it out
from typing import Final, TypeAlias

from eci_supervisor.settings.problem import Invalid, Problem, path_of

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[int | str, ...]

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
BOM: Final = b"\xef\xbb\xbf"
BLANK: Final = re.compile(r"[ \t\r\n]*")
NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
WORDS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
ESCAPES: Final = '"\\/bfnrtu'


class Document:
    """A parsed file. value: what it says; lines: the line of each value by its path, `a.b[2]`, that of the whole being ""."""

    def __init__(self, text: bytes) -> None:
        """Raises Invalid."""
        self._text = _decoded(text)
        self._at = 0
        self._counted, self._lines_counted = 0, 1
        self._doubles: list[Problem] = []
        self.lines: dict[str, int] = {}
        self.value: Json = self._value((), 0)
        self._blank()
        if self._at != len(self._text):
            raise self._wrong("nothing may follow the closing brace")
        if self._doubles:
            raise Invalid(tuple(self._doubles))

    def _value(self, path: Path, depth: int) -> Json:
        self._blank()
        self.lines[path_of(path)] = self._line()
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}")
        match self._text[self._at:self._at + 1]:
            case "{":
                return self._object(path, depth)
            case "[":
                return self._array(path, depth)
            case '"':
                return self._string()
            case _:
                return self._plain()

    def _object(self, path: Path, depth: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        self._at += 1
        while not self._ends("}", first=not found):
            if self._text[self._at:self._at + 1] != '"':
                raise self._wrong('a key in double quotes must stand here, or "}"')
            line, name = self._line(), self._string()
            if name in found:
                self._doubles.append(Problem(path_of((*path, name)), "", "the key stands there twice: keep one of them", line))
            self._blank()
            if self._text[self._at:self._at + 1] != ":":
                raise self._wrong('":" must stand between a key and its value')
            self._at += 1
            found[name] = self._value((*path, name), depth + 1)
        return found

    def _array(self, path: Path, depth: int) -> list[Json]:
        found: list[Json] = []
        self._at += 1
        while not self._ends("]", first=not found):
            found.append(self._value((*path, len(found)), depth + 1))
        return found

    def _ends(self, closing: str, *, first: bool) -> bool:
        """Whether the object or array is over; if not, we are at its next member, behind the comma."""
        self._blank()
        if self._text[self._at:self._at + 1] == closing:
            self._at += 1
            return True
        if first:
            return False
        if self._text[self._at:self._at + 1] != ",":
            raise self._wrong(f'"," or "{closing}" must stand here')
        self._at += 1
        self._blank()
        if self._text[self._at:self._at + 1] == closing:
            raise self._wrong(f'no "," may stand before "{closing}"')
        return False

    def _string(self) -> str:
        try:
            text, end = scanstring(self._text, self._at + 1, True)
        except json.JSONDecodeError as error:
            raise self._bad_string(error) from None
        if any(0xD800 <= ord(character) < 0xE000 for character in text):
            raise self._wrong("half of a surrogate pair is no character")
        self._at = end
        return str(text)

    def _bad_string(self, error: json.JSONDecodeError) -> Invalid:
        start, self._at = self._at, min(error.pos, len(self._text) - 1)
        for escape in re.finditer(r"\\(.)", self._text[start:].partition("\n")[0]):
            if escape[1] not in ESCAPES:
                whole = re.match(r'"(?:\\.|[^"\\\n])*"', self._text[start:])
                cure = re.sub(r'\\([^"\\/bfnrtu])', r"\1", whole[0]) if whole else f'"{escape[1]}"'
                return self._wrong(f"\\{escape[1]} is no JSON escape: write {cure}")
        return self._wrong("a string must end on its line, and a control character in it be escaped")

    def _plain(self) -> Json:
        for word, value in WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        number = NUMBER.match(self._text, self._at)
        if number is None or len(number[0]) > 40:
            raise self._wrong("a value must stand here: an object, a list, a string in double quotes, a number, true, false or null")
        self._at = number.end()
        return float(number[0]) if number[1] or number[2] else int(number[0])

    def _blank(self) -> None:
        match = BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _line(self) -> int:
        """Of the place we are at, which only moves on."""
        self._lines_counted += self._text.count("\n", self._counted, self._at)
        self._counted = max(self._counted, self._at)
        return self._lines_counted

    def _wrong(self, right: str) -> Invalid:
        line = self._line()
        return Invalid((*self._doubles, Problem(f"line {line}", "", right, line)))


def _decoded(text: bytes) -> str:
    if len(text) > MAX_BYTES:
        raise Invalid((Problem("", "", f"it is larger than {MAX_BYTES} bytes"),))
    try:
        return text.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise Invalid((Problem(f"line {line}", "", "this is not UTF-8: save the file as UTF-8", line),)) from None
