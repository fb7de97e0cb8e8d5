"""The table of the Engine API, and the commands that lists name."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.docker.commands import CUTTABLE, KNOWN, BadCommand, CommandList, canonical, command_list, taken_along
from eci_supervisor.docker.route import NEWEST_MINOR, Class, Route
from eci_supervisor.docker.routes import ROUTES, find

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


@pytest.mark.parametrize(("written", "names"), [
    ("ps", {"container ls"}), ("docker ps", {"container ls"}), ("PS", {"container ls"}), ("container list", {"container ls"}),
    ("container remove", {"container rm"}), ("rmi", {"image rm"}), ("image remove", {"image rm"}), ("images", {"image ls"}),
    ("buildx bake", {"image build"}), ("buildx prune", {"builder prune"}), ("info", {"system info"}), ("stack up", {"stack deploy"}),
    ("build*", {"image build", "builder prune", "buildx du"}), ("system*", {"system df", "system info", "system events", "system prune"}),
    ("inspect", {"inspect"}), ("  docker   image   rm ", {"image rm"}), ("*", KNOWN),
])  # fmt: skip
def test_commands_are_read_as_docker_writes_them(written: str, names: set[str]) -> None:
    assert canonical(written) == names


@pytest.mark.parametrize(("kind", "written", "says"), [
    ("deny", "compose", "no endpoint of its own"), ("deny", "version", "no endpoint"), ("allow", "manifest", "not supported"),
    ("allow", "trust sign", "not supported"), ("allow", "system dial-stdio", "not supported"), ("deny", "pss", "is it 'ps'"),
    ("deny", "contaner*", "is it 'container'"), ("deny", "", "no docker command"), ("allow", "p*", "no group"),
])  # fmt: skip
def test_a_mistake_says_what_would_be_right(kind: str, written: str, says: str) -> None:
    with pytest.raises(BadCommand, match=says):
        command_list("deny" if kind == "deny" else "allow", written)


def test_groups_have_their_top_level_twins() -> None:
    assert canonical("ps") <= canonical("container*")
    assert canonical("run") <= canonical("container*")
    assert canonical("push") | canonical("pull") | canonical("build") <= canonical("image*")


def refused(commands: CommandList, method: str, path: str, *keys: str) -> bool:
    found = find(method, path, NEWEST_MINOR, frozenset(keys))
    assert found is not None
    return commands.refuses(found[0])


def test_deny_closes_the_smallest_cut() -> None:
    deny = CommandList("deny", canonical("push"))
    assert refused(deny, "POST", "/images/x/push")
    assert not refused(deny, "GET", "/info")
    prune = CommandList("deny", canonical("system prune"))
    assert all(refused(prune, "POST", f"/{kind}/prune") for kind in ("containers", "images", "networks", "volumes", "build"))
    assert "volume prune" in taken_along(canonical("system prune"))


def test_allow_opens_what_a_command_asks_for() -> None:
    allow = CommandList("allow", canonical("run"))
    for method, path in (("POST", "/containers/create"), ("POST", "/containers/x/start"), ("POST", "/containers/x/wait"),
                         ("GET", "/images/x/json")):  # fmt: skip
        assert not refused(allow, method, path)
    assert not refused(allow, "POST", "/images/create", "fromImage")
    assert refused(allow, "GET", "/images/json")
    assert refused(allow, "POST", "/containers/x/exec")


def test_base_is_always_open() -> None:
    for commands in (CommandList("deny", KNOWN), CommandList("allow", frozenset())):
        assert not refused(commands, "GET", "/_ping")
        assert not refused(commands, "GET", "/version")


@given(st.sets(st.sampled_from(sorted(CUTTABLE))))
def test_a_denied_command_has_a_closed_endpoint(names: set[str]) -> None:
    commands = CommandList("deny", frozenset(names))
    closed = {route for route in ROUTES if commands.refuses(route)}
    assert all(any(name in route.blocked_by for route in closed) for name in names)


@given(st.sets(st.sampled_from(sorted(KNOWN))))
def test_an_allow_list_opens_no_more_than_its_commands_need(names: set[str]) -> None:
    commands = CommandList("allow", frozenset(names))
    for route in ROUTES:
        assert commands.refuses(route) == (Class.BASE not in route.classes and route.opened_by.isdisjoint(names))
