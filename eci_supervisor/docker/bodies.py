"""What a JSON body may ask of the engine: schemas as literals, and the walk that rebuilds a body from one. No I/O.

The engine takes a key in any case, and other letters for s and k; its clients write it as the schema has it, so that one that is a known
key only when folded is malformed. Unknown keys are left out and told; absent, null and empty are one. A schema's entry is PASS, DROP, a
nested schema, a list of such (one element), or a Check of the value.
"""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from eci_supervisor.docker.strict_json import Json, folded
from eci_supervisor.docker.target import MalformedRequest

MAX_VALUE_SHOWN = 120
NOTHING: Final[tuple[Json, ...]] = (None, "", [], {}, False, 0, [0, 0])  # what clients write into fields that they do not use


class BodyRefused(ValueError):
    """Which value is not allowed, and why: `<JSON path>: <value> is not allowed: <why>`."""

    def __init__(self, path: str, value: object, why: str) -> None:
        shown = repr(value)
        super().__init__(f"{path}: {shown[:MAX_VALUE_SHOWN]} is not allowed: {why}")


@dataclass(slots=True)
class Asked:
    """What is known, and what is found, while one body is rebuilt.

    runtime: the name that the engine has for ours, "" where it is not forced; parent: the id of the container whose socket it is, "" for
    the gateway; ours: ids of containers by the name that the body uses, all under our runtime; None in a first walk, which finds in
    `containers` the names to look up; dropped: JSON paths that were left out, though they said something.
    """

    runtime: str
    parent: str = ""
    ours: Mapping[str, str] | None = None
    containers: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)


Check: TypeAlias = Callable[[Json, str, Asked], Json]
PASS: Final = "pass"
DROP: Final = "drop"
Schema: TypeAlias = "Mapping[str, Json]"


def rebuild(schema: Schema, body: object, asked: Asked, path: str = "") -> dict[str, Json]:
    """The object that goes to the engine. Raises MalformedRequest, BodyRefused."""
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise MalformedRequest(f"{path or 'the body'} is no JSON object")
    names = {folded(name): name for name in schema}
    rebuilt: dict[str, Json] = {}
    seen: set[str] = set()
    for key, value in body.items():
        name = names.get(folded(key))
        where = f"{path}.{name or key}".lstrip(".")
        if folded(key) in seen:
            raise MalformedRequest(f"{where} stands twice")
        if name is not None and name != key:
            raise MalformedRequest(f"{where} is written {key!r}")
        seen.add(folded(key))
        if name is None or schema[name] == DROP:
            if value not in NOTHING:
                asked.dropped.append(where)
        elif value is not None:
            rebuilt[name] = _value(schema[name], value, where, asked)
    return rebuilt


def _value(rule: Json, value: Json, where: str, asked: Asked) -> Json:
    if rule == PASS:
        return value
    if isinstance(rule, Mapping):
        return rebuild(rule, value, asked, where)
    if isinstance(rule, list):
        if not isinstance(value, list):
            raise MalformedRequest(f"{where} is no list")
        return [_value(rule[0], one, f"{where}[{index}]", asked) for index, one in enumerate(value)]
    return rule(value, where, asked)
