"""Rows on mounts, descriptors, ids and namespaces, many to one container: what a program in it saw of each, and the host after all."""
from pathlib import Path

import pytest

from tests.container.conftest import Launch
from tests.container.lines import machine, said
from tests.support import host
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
OK, NO, DENIED, RO = "OK", "EINVAL", "EPERM", "EROFS"
COVERED = [OK, OK, True, NO]

EXPECTED: dict[str, object] = {
    "a04": [[OK], False, True], "a10": [], "b15": [], "b16": [["EMFILE"], True], "b19": "(1, 'OK', '1', True)",
    "b05": {"unshare": [OK], "setns": ["EBADF"], "umount2": [NO], "fspick": ["EFAULT"]},
    "c08": [[DENIED] * 6, OK, OK, OK, RO], "d13": ["2", [True, True]],
    "f01": {path: [NO] for path in ("/proc/uptime", "/proc/sys/kernel/panic", "/v", "/", "/sys/devices/system/cpu/online")},
    "f04": [[NO, NO], [OK, True, [], OK, True]], "f06": [COVERED] * 3, "f07": [1000, 1000, NO, RO], "f09": ["ENOSPC", True],
    "g01": [[OK, True]], "g04": [True, True, [True]],
    "h03": [DENIED, repr(DENIED), repr(DENIED)], "h04": [[NO] * 3, [DENIED], OK, 65534], "h06": [0, [0, 10, 20, 30, 40, 50]],
    "i02": ["ENOSPC", True], "i03": [*[repr([DENIED])] * 3, repr([OK, DENIED])],
}  # fmt: skip


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_what_each_row_must_see(containers: Launch, closed: Path) -> None:
    container = machine(containers, closed)
    table = Path(f"/proc/{container.pid}/mountinfo")
    supervisor, before, sysctls = container.record().supervisor_pid, table.read_text(), host.sysctls()
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    ours = (supervisor, *map(int, children))
    held = [descriptors(pid) for pid in ours]
    told = {line.removeprefix("line_"): value for line, value in said(container, "attacks").items()}
    assert {row: (value, EXPECTED[row]) for row, value in told.items() if value != EXPECTED[row]} == {}
    assert told.keys() == EXPECTED.keys()
    # INV: what is protected stands as it stood, our processes are the same, and hold no more than before.
    assert table.read_text() == before
    assert host.sysctls() == sysctls
    assert container.record().supervisor_pid == supervisor
    # The mounter keeps the last 32 trees that it has handed out, with a context each.
    wait_until(lambda: all(descriptors(pid) <= most + 80 for pid, most in zip(ours, held, strict=True)), "nothing is held for ever")
