"""JSON in the one way that every parser reads it. No I/O.

Go's encoding/json folds the case of keys (and U+017F, U+212A), takes the last of two that are the same, and resets a field by null; ours
refuses what would make a difference, so that what was judged is what the engine reads.
"""
import json
from typing import Any, NoReturn, TypeAlias

from eci_supervisor.docker.target import MalformedRequest

Json: TypeAlias = Any  # what a document holds, until a check has looked at it
MAX_DEPTH = 64
_FOLDED = str.maketrans({"\u017f": "s", "\u212a": "k"})


def folded(key: str) -> str:
    """What Go's encoding/json compares a key by. Source: encoding/json, fold.go."""
    return key.translate(_FOLDED).lower()


def loads(raw: bytes) -> Json:
    """Parses a whole body. Raises MalformedRequest for what is no JSON, too deep, or has a key twice."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    except RecursionError:
        raise MalformedRequest(f"the JSON is deeper than {MAX_DEPTH}") from None
    except MalformedRequest:
        raise
    except ValueError as error:
        raise MalformedRequest(f"the body is no JSON: {str(error)[:100]}") from None
    _check_depth(value)
    return value


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("the JSON has a key twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise MalformedRequest(f"{text} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedRequest("a number beyond all bounds")
    return value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return
    raise MalformedRequest(f"the JSON is deeper than {MAX_DEPTH}")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
