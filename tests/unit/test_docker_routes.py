"""The table of the Engine API, and the commands that lists name."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker.lists import refuses, taken_along
from eci_supervisor.docker.route import NEWEST_MINOR, Class, Route
from eci_supervisor.docker.routes import ROUTES, find
from eci_supervisor.model.settings import CommandList
from eci_supervisor.settings.commands import ALLOW_ONLY, COMMANDS, canonical

CUTTABLE = frozenset[str]().union(*(route.blocked_by for route in ROUTES))
EXAMPLES = {"{id}": "0a1b-2.c", "{name}": "vol_1", "{checkpoint}": "cp1", "{name*}": "reg:5000/team/app@sha256:00", "{any*}": "cmdline"}


def example(route: Route) -> str:
    path = route.path
    for place, value in EXAMPLES.items():
        path = path.replace(place, value)
    return path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}{route.query}")
def test_a_row_is_found_by_its_own_paths_alone(route: Route) -> None:
    keys = frozenset(filter(None, [route.query]))
    found = find(route.method, example(route), route.until, keys)
    assert found is not None
    assert found[0] == route
    fits = [other for other in ROUTES if other.method == route.method and other.place(example(route)) is not None
            and other.query == route.query and other.literal == route.literal]  # fmt: skip
    assert fits == [route]
    assert find(route.method, example(route), route.since - 1, keys) is None
    assert find(route.method.lower(), example(route), route.until, keys) is None


@pytest.mark.parametrize(("method", "path", "keys"), [
    ("GET", "/", ()), ("GET", "/containers", ()), ("GET", "/Containers/json", ()), ("POST", "/containers/x/y/start", ()),
    ("GET", "/containers/-x/json", ()), ("POST", "/images/create", ()), ("POST", "/images/create", ("fromImage", "fromSrc")),
    ("PATCH", "/containers/json", ()), ("GET", "/networks/a/b", ()),
])  # fmt: skip
def test_what_is_no_endpoint_has_no_row(method: str, path: str, keys: tuple[str, ...]) -> None:
    assert find(method, path, NEWEST_MINOR, frozenset(keys)) is None


def test_the_settings_know_the_same_commands() -> None:
    """Whatever a list may name has an endpoint, and the other way round."""
    assert frozenset(COMMANDS) == CUTTABLE
    assert frozenset(ALLOW_ONLY) - {"version"} == frozenset[str]().union(*(route.opened_by for route in ROUTES)) - CUTTABLE


def deny(*written: str) -> CommandList:
    return CommandList(commands=canonical(written, allow=False))


def allow(*written: str) -> CommandList:
    return CommandList(allow=True, commands=canonical(written, allow=True))


def refused(commands: CommandList, method: str, path: str, *keys: str) -> bool:
    found = find(method, path, NEWEST_MINOR, frozenset(keys))
    assert found is not None
    return refuses(commands, found[0])


def test_deny_closes_the_smallest_cut() -> None:
    assert refused(deny("push"), "POST", "/images/x/push")
    assert not refused(deny("push"), "GET", "/info")
    prune = deny("system prune")
    assert all(refused(prune, "POST", f"/{kind}/prune") for kind in ("containers", "images", "networks", "volumes", "build"))
    assert "volume prune" in taken_along(["system prune"])
    assert taken_along(["container create"]) == {"compose", "container run"}


def test_allow_opens_what_a_command_asks_for() -> None:
    run = allow("run")
    for method, path in (("POST", "/containers/create"), ("POST", "/containers/x/start"), ("POST", "/containers/x/wait"),
                         ("GET", "/images/x/json")):  # fmt: skip
        assert not refused(run, method, path)
    assert not refused(run, "POST", "/images/create", "fromImage")
    assert refused(run, "GET", "/images/json")
    assert refused(run, "POST", "/containers/x/exec")


def test_base_is_always_open() -> None:
    for commands in (deny("*"), allow()):
        assert not refused(commands, "GET", "/_ping")
        assert not refused(commands, "GET", "/version")


@given(st.sets(st.sampled_from(sorted(CUTTABLE))))
def test_a_denied_command_has_a_closed_endpoint(names: set[str]) -> None:
    closed = {route for route in ROUTES if refuses(CommandList(commands=tuple(names)), route)}
    assert all(any(name in route.blocked_by for route in closed) for name in names)


@given(st.sets(st.sampled_from([*COMMANDS, *ALLOW_ONLY])))
def test_an_allow_list_opens_no_more_than_its_commands_need(names: set[str]) -> None:
    commands = CommandList(allow=True, commands=tuple(names))
    for route in ROUTES:
        assert refuses(commands, route) == (Class.BASE not in route.classes and route.opened_by.isdisjoint(names))
