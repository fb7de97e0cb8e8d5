"""A, of the mount family: descriptors, strings and structs that change while a call is judged, and signals that take it away."""
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.lines import machine, said
from tests.support import host
from tests.support.driver import Container

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
SECONDS = "0.3"
RACES = ("bind", "open_tree", "fsopen", "fsmount", "mount_setattr", "umount", "reconfigure")


@pytest.fixture
def target(containers: Launch, closed: Path) -> Container:
    return machine(containers, closed)


def mounts(container: Container) -> list[str]:
    return Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()


def test_a01_a03_a09_what_was_judged_or_an_errno(target: Container) -> None:
    before, supervisor, sysctls = mounts(target), target.record().supervisor_pid, host.sysctls()
    lines = target.exec("racer", SECONDS, "/v", "/w", "/t").ok().lines
    assert [line.split(" of ")[0] for line in lines] == [f"{race}: 0" for race in RACES]
    # Each of them was really made, not just refused. The host's superblock is refused, and that wins half of the last race.
    assert [line.split(" of ")[1] for line in lines] == ["some"] * len(RACES)
    assert mounts(target) == before
    assert target.record().supervisor_pid == supervisor
    assert host.sysctls() == sysctls
    assert said(target, "procfs", "line_01")["line_01"][:3] == ["OK", True, "OK"]


def test_b04_signals(target: Container) -> None:
    """A runtime that cannot set WAIT_KILLABLE lets a signal void a notification: the same call comes again."""
    said_so = said(target, "signals")
    whole = "OK True OK True OK"
    assert said_so["line_b04_fsmount"].keys() <= {whole, "EINTR False False False EINVAL"}
    assert said_so["line_b04_fsmount"][whole] > 0
    others: dict[str, int] = said_so["line_b04_others"]
    assert max(others, key=lambda row: others[row]) == "OK OK OK OK EINVAL OK OK EROFS OK OK EINVAL", others
