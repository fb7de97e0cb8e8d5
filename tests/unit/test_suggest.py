"""What learn mode saw becomes the smallest change of the settings."""
import json

import pytest

from eci_supervisor.docker.lists import refuses
from eci_supervisor.docker.routes import find
from eci_supervisor.model.settings import Stamp
from eci_supervisor.settings.compile import compiled
from eci_supervisor.settings.suggest import COMMAND, IMAGE, SOURCE, Seen, suggested


def event(rule: str, verdict: str = "learn", **args: str) -> dict[str, object]:
    return {"rule": rule, "verdict": verdict, "args": args}


def test_images_go_where_docker_or_where_we_have_a_place_for_them() -> None:
    made = suggested({}, [Seen(IMAGE, "docker:cli"), Seen(IMAGE, "docker:cli"), Seen(IMAGE, f"id:sha256:{'1' * 64}")])
    assert made["enhancedContainerIsolation"]["dockerSocketMount"]["imageList"]["images"] == ["docker:cli"]
    assert made["eci"]["dockerSocket"]["images"] == [{"image": f"id:sha256:{'1' * 64}"}]


def test_a_source_becomes_an_allowed_root() -> None:
    assert suggested({"eci": {"bindMounts": {"allowed": ["/a"]}}}, [Seen(SOURCE, "/b")])["eci"]["bindMounts"]["allowed"] == ["/a", "/b"]


REQUESTS = [("GET", "/v1.41/containers/json?all=1"), ("POST", "/v1.41/containers/create"), ("POST", "/v1.41/containers/x/start"),
            ("POST", "/v1.41/images/create?fromImage=a"), ("GET", "/v1.41/volumes")]  # fmt: skip
LISTS = [{"type": "allow", "commands": []}, {"type": "allow", "commands": ["ps"]}, {"type": "deny", "commands": ["*"]},
         {"type": "deny", "commands": ["container*", "pull", "push"]}]  # fmt: skip


@pytest.mark.parametrize("commands", LISTS)
def test_what_was_seen_passes_and_little_else_does(commands: dict[str, object]) -> None:
    mount = {"dockerSocketMount": {"commandList": commands}}
    file = {"enhancedContainerIsolation": {"value": True, **mount}, "eci": {"audit": {"mode": "learn"}}}
    made = suggested(file, [Seen(COMMAND, method=method, target=target) for method, target in REQUESTS])
    policy = compiled(json.dumps(made).encode(), "settings", Stamp())
    assert not policy.learn

    def closed(method: str, target: str) -> bool:
        path, _, query = target.removeprefix("/v1.41").partition("?")
        found = find(method, path, 41, frozenset(filter(None, [query.partition("=")[0]])))
        assert found is not None
        return refuses(policy.socket.commands, found[0])

    assert not any(closed(method, target) for method, target in REQUESTS)
    assert closed("POST", "/v1.41/images/x/push") == (commands["type"] == "allow" or commands["commands"] != [])
    assert closed("POST", "/v1.41/containers/x/exec")


def test_an_image_with_a_list_of_its_own_keeps_it_apart() -> None:
    file = {"eci": {"dockerSocket": {"images": [{"image": "a:1", "commandList": {"type": "allow", "commands": []}}]}}}
    made = suggested(file, [Seen(COMMAND, entry="docker.io/library/a:1", method="GET", target="/containers/json")])
    assert made["eci"]["dockerSocket"]["images"][0]["commandList"]["commands"] == ["container ls"]
    assert file["eci"]["dockerSocket"]["images"][0]["commandList"] == {"type": "allow", "commands": []}


@pytest.mark.parametrize("told", [event("socket.command", "deny"), event("mount", "learn"), {"rule": IMAGE, "verdict": "learn"}, {}])
def test_other_events_say_nothing(told: dict[str, object]) -> None:
    assert Seen.of(told) is None


def test_an_event_is_read() -> None:
    told = event(COMMAND, method="GET", target="/info", entry="e")
    assert Seen.of(told) == Seen(COMMAND, "", "e", "GET", "/info")
    assert suggested({}, [Seen(COMMAND, method="GET", target="//")])["eci"]["audit"]["mode"] == "enforce"
