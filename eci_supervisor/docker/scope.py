"""Own scope: lists and events of the engine, narrowed to what was made through one socket. No I/O."""
import json
from dataclasses import replace

from eci_supervisor.docker.checks import PARENT_LABEL
from eci_supervisor.docker.route import Route
from eci_supervisor.docker.strict_json import loads
from eci_supervisor.docker.target import MalformedRequest, Target

FILTERED = frozenset({"/containers/json", "/containers/prune", "/volumes", "/volumes/prune", "/networks", "/networks/prune", "/events"})


def narrowed(route: Route, target: Target, parent: str) -> Target:
    """The target with a filter by label more. Raises MalformedRequest for filters that are none."""
    if route.path not in FILTERED:
        return target
    filters = loads(target.value("filters").encode() or b"{}")
    if not isinstance(filters, dict):
        raise MalformedRequest("filters is no JSON object")
    own = f"{PARENT_LABEL}={parent}"
    # Old clients write lists, newer ones objects whose values are true; the engine takes no mixture.
    lists = any(isinstance(wanted, list) for wanted in filters.values())
    wanted = filters.get("label", [] if lists else {})
    filters["label"] = [*wanted, own] if isinstance(wanted, list) else {**wanted, own: True} if isinstance(wanted, dict) else {own: True}
    others = tuple(pair for pair in target.query if pair[0] != "filters")
    return replace(target, query=(*others, ("filters", json.dumps(filters, separators=(",", ":")))))
