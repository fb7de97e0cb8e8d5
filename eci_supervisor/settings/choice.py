"""The user's choice of isolation (`eci enable`, `eci disable`), and what is in force of it and the file. Pure.

The choice decides what `value` does where the file leaves it open: whether the gateway forces the runtime. What eci-runc is given it
isolates, whatever was chosen.
"""
import json
from dataclasses import dataclass

from eci_supervisor.model.settings import Policy


@dataclass(frozen=True, slots=True)
class Effective:
    """Whether isolation is forced, and who says so: a line of the file, the user's choice, or the default."""

    enabled: bool
    source: str


def effective(policy: Policy, choice: bool | None) -> Effective:
    """The file's value where it is locked, else the user's choice, else the file's value, else off."""
    line = policy.lines.get(VALUE, 0)
    if choice is not None and not policy.locked:
        return Effective(choice, "the user's choice (eci enable, eci disable)")
    if line:
        return Effective(policy.value, f"{policy.file}:{line}" + (", locked" if policy.locked else ""))
    return Effective(policy.value, "the default" + (f", locked by {policy.file}" if policy.locked else ""))


VALUE = "enhancedContainerIsolation.value"


def choice_to_bytes(enabled: bool) -> bytes:  # the value itself
    return json.dumps({"v": 1, "value": enabled}).encode() + b"\n"


def choice_from_bytes(text: bytes) -> bool | None:
    """None for what is no choice."""
    try:
        value = json.loads(text)["value"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, bool) else None
