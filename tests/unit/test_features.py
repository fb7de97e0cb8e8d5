"""What a runtime says of its seccomp flags and namespaces: asked once for each build of it."""
from pathlib import Path

import pytest

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.oci.features import Features, features, parse

SAYS = '{"linux":{"namespaces":["mount","time"],"seccomp":{"supportedFlags":["SECCOMP_FILTER_FLAG_LOG"]}}}'


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (SAYS, {"SECCOMP_FILTER_FLAG_LOG"}),
        ("", set()),
        ("[]", set()),
        ('{"linux":{"seccomp":null}}', set()),
        ('{"linux":{"seccomp":{"knownFlags":["SECCOMP_FILTER_FLAG_LOG"]}}}', set()),
        ('{"linux":{"seccomp":{"supportedFlags":"LOG"}}}', set()),
        ('{"linux":{"seccomp":{"supportedFlags":[1]}}}', set()),
    ],
)
def test_what_is_said(text: str, flags: set[str]) -> None:
    assert parse(text.encode()).seccomp_flags == flags


def test_it_is_asked_once_for_each_build(tmp_path: Path) -> None:
    program = tmp_path / "runc"

    def build(script: str) -> None:
        fresh = tmp_path / "new"
        fresh.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\n{script}\n")
        fresh.chmod(0o755)
        fresh.rename(program)

    state_dir = StateDir(str(tmp_path))
    build(f"echo '{SAYS}'")
    for _ in range(2):
        assert features(str(program), state_dir) == Features(frozenset({"SECCOMP_FILTER_FLAG_LOG"}), frozenset({"mount", "time"}))
    build("exit 1")
    assert features(str(program), state_dir) == Features()
    assert (tmp_path / "asked").read_text().count("asked") == 2
    (tmp_path / "features.json").write_text("junk")
    assert features(str(program), state_dir) == Features()
