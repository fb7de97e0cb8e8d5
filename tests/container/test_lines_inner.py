"""Containers inside the container, by both runtimes: what they mount of procfs and sysfs, masks and protects is ours."""
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.inside.procfs import N
from tests.container.lines import machine, said

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
FUSE_MAGIC = "65735546"


def test_33_34_inner_containers(containers: Launch, closed: Path) -> None:
    host_value = Path("/proc", N).read_text()
    container = machine(containers, closed)
    seen = said(container, "inner")
    for runtime in ("runc", "crun"):
        for line, access in ((f"line_33_{runtime}", "refused"), (f"line_34_{runtime}", "written")):
            status, out, err = seen[line]
            assert (status, out[:3], out[4]) == (0, [FUSE_MAGIC, "0", access], "lo"), (line, out, err)
            assert int(out[3]) < 20, "/proc/self is of the inner pid namespace"
        assert seen[f"line_34_{runtime}"][1][5] == "1"
    assert container.sh(f"cat /proc/{N}").ok().out == "1\n"
    assert Path("/proc", N).read_text() == host_value
