"""Names of commands in a commandList: every alias and wildcard of the documentation, and what is refused."""
import pytest

from eci_supervisor.settings.commands import ALLOW_ONLY, COMMANDS, UnknownCommand, canonical, expanded


@pytest.mark.parametrize(("written", "meant"), [
    ("ps", "container ls"), ("docker ps", "container ls"), ("Container  LIST", "container ls"), ("container ps", "container ls"),
    ("container remove", "container rm"), ("run", "container run"), ("push", "image push"), ("tag", "image tag"), ("images", "image ls"),
    ("rmi", "image rm"), ("image list", "image ls"), ("build", "image build"), ("builder build", "image build"),
    ("buildx bake", "image build"), ("buildx prune", "builder prune"), ("info", "system info"), ("events", "system events"),
    ("inspect", "inspect"), ("login", "login"), ("search", "search"), ("volume list", "volume ls"),
])  # fmt: skip
def test_one_command(written: str, meant: str) -> None:
    assert expanded(written, allow=False) == (meant,)
    assert expanded(written, allow=True) == (meant,)


def test_wildcards_bring_their_twins() -> None:
    assert {"container ls", "container run", "container exec"} <= set(expanded("container*", allow=False))
    assert {"image pull", "image push", "image build"} <= set(expanded("image*", allow=False))
    assert expanded("build*", allow=False) == ("image build", "builder prune")
    assert expanded("build*", allow=True) == ("image build", "builder prune", "buildx du")
    assert set(expanded("*", allow=False)) == set(COMMANDS)
    for group in ("container*", "image*", "volume*", "network*", "build*", "system*"):
        assert expanded(group, allow=False)


@pytest.mark.parametrize("written", ALLOW_ONLY)
def test_only_to_be_allowed(written: str) -> None:
    assert expanded(written, allow=True) == (written,)
    with pytest.raises(UnknownCommand, match="nothing to deny"):
        expanded(written, allow=False)


@pytest.mark.parametrize("written", ["dev", "scan", "trust", "trust sign", "context use", "system dial-stdio", "logout"])
def test_not_supported(written: str) -> None:
    for allow in (False, True):
        with pytest.raises(UnknownCommand, match="cannot be in a list"):
            expanded(written, allow=allow)


@pytest.mark.parametrize("written", ["", "pusch", "container", "x*", "container lss", "**", "push *"])
def test_unknown(written: str) -> None:
    with pytest.raises(UnknownCommand):
        expanded(written, allow=False)


def test_a_list() -> None:
    assert canonical(["ps", "container ls", "rm"], allow=False) == ("container ls", "container rm")
