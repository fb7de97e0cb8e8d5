"""`eci explain`: every code that a refusal can have says how it may be allowed, and where the settings say so."""
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from eci_supervisor.control.cli import main
from eci_supervisor.control.explain import ALLOW, explained
from eci_supervisor.docker.decision import BUILDS, ENGINE_ADMIN, IMAGES, MAX_BODY, lines
from eci_supervisor.docker.gateway import rights
from eci_supervisor.docker.witness import Witness
from eci_supervisor.model.settings import Rights, Stamp
from eci_supervisor.observe.audit import NAME, AuditFile
from eci_supervisor.settings.compile import compiled

SOURCES = Path(__file__).parents[2] / "eci_supervisor"
CODE = re.compile(r'"((?:socket|namespace|settings|create)\.[a-z]+|mount\.restricted)"')
SETTINGS = b"""{
 "enhancedContainerIsolation": {
  "dockerSocketMount": {
   "imageList": {"images": ["docker:cli"]},
   "commandList": {"type": "deny", "commands": ["push"]}
  }
 },
 "eci": {
  "dockerSocket": {
   "builds": false
  }
 }
}"""


def test_every_code_is_explained_and_no_other() -> None:
    written = {code for path in SOURCES.rglob("*.py") for code in CODE.findall(path.read_text())}
    assert written == set(ALLOW)


@pytest.fixture
def policys_rights() -> Rights:
    return rights(compiled(SETTINGS, "/etc/eci/admin-settings.json", Stamp()), "", forced=True)


@pytest.mark.parametrize(("where", "line"), [
    ("enhancedContainerIsolation.dockerSocketMount.commandList", 5), (IMAGES, 4), (BUILDS, 10), (ENGINE_ADMIN, 9), (MAX_BODY, 9), ("", 0)])
def test_a_refusal_leads_to_its_line(policys_rights: Rights, tmp_path: Path, where: str, line: int) -> None:
    """Or to the nearest around it that is in the file."""
    audit = AuditFile(str(tmp_path))
    name = Witness(audit).request(policys_rights, "POST", "/x", "deny", "socket.command", "because", where)
    audit.close()
    done = CliRunner().invoke(main, ["explain", f"[{name}]", "--json", "--audit-dir", str(tmp_path)])
    told = json.loads(done.output)
    assert (told["id"], told["why"], told["where"]) == (name, "because", where)
    assert told["file"] == (f"/etc/eci/admin-settings.json:{line}" if line else "")
    assert told["allow"] == ALLOW["socket.command"]
    assert (tmp_path / NAME).exists()


def test_the_lines_are_those_of_what_can_refuse() -> None:
    """And nothing else: they lie beside every container that has a socket."""
    found = lines(compiled(SETTINGS, "", Stamp()))
    assert set(found) == {"enhancedContainerIsolation.dockerSocketMount.commandList", IMAGES, BUILDS, ENGINE_ADMIN, MAX_BODY}


def test_a_rule_on_calls_is_told_apart() -> None:
    assert "docs/policy.md" in explained({"rule": "mount.type"})["allow"]


@pytest.mark.parametrize("wanted", ["nothing", "", "[]"])
def test_what_is_no_id(tmp_path: Path, wanted: str) -> None:
    done = CliRunner().invoke(main, ["explain", wanted, "--audit-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "no event" in done.output
