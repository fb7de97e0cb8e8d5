"""Ten seconds of requests that nobody would send, and what the engine makes of them. The long run is `make fuzz`."""
import pytest

from tests.fuzz.requests import DENIED
from tests.support.gateway import Gateway
from tests.support.relay_fuzzing import Fuzz

pytestmark = pytest.mark.requires("root", "docker", "dockerd", "busybox", "runc", "seccomp_notify", "fuse")
SECONDS = 10
SEED = 20


def test_the_engine_does_only_what_the_policy_allows(gateway: Gateway) -> None:
    gateway.permit(commandList={"type": "deny", "commands": DENIED}, maxBodyBytes=65536)
    run = Fuzz(gateway, SEED)
    try:
        run.run(SECONDS)
    finally:
        for kind in ("volume", "network"):
            gateway.engine.docker(kind, "rm", "kept")
    assert run.made
    assert {200, 201, 400, 403, 404} <= set(run.answers)
