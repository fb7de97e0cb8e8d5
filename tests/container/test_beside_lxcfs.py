"""One container, our files and those of lxcfs, read by the same programs. docs/proc-sys.md says where they differ and why."""
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.conftest import Launch
from tests.container.test_machine import HOST_ONLINE, made, program
from tests.support.driver import Container
from tests.support.lxcfs import Lxcfs, lxcfs

__all__ = ["program"]
pytestmark = [
    pytest.mark.requires("root", "busybox", "compiler", "runc", "seccomp_notify", "fuse", "cgroup", "lxcfs", "psutil"),
    pytest.mark.parametrize("runtime", ["runc"], indirect=True),
]
LIMIT = 96 << 20
MIB = 1 << 20
PYTHON = "/usr/bin/python3"
PARSED = """
import json, psutil, sys
psutil.PROCFS_PATH = sys.argv[1]
memory, swap, times = psutil.virtual_memory(), psutil.swap_memory(), psutil.cpu_times()
print(json.dumps({
    "memory": memory._asdict(), "swap": swap._asdict(), "cpu": times._asdict(), "cpus": len(psutil.cpu_times(percpu=True)),
    "btime": psutil.boot_time(), "disks": {name: disk._asdict() for name, disk in psutil.disk_io_counters(perdisk=True).items()},
}))
"""
Parsed = dict[str, Any]


@pytest.fixture(scope="module")
def beside() -> Iterator[Lxcfs]:
    with lxcfs("--enable-cfs", "-l") as serving:
        yield serving


@pytest.fixture
def container(containers: Launch, program: Path) -> Container:
    last = HOST_ONLINE[-1]
    container = made(containers, program, memory={"limit": LIMIT, "swap": LIMIT},
                     cpu={"cpus": str(last), "mems": "0", "quota": 150_000, "period": 100_000})
    container.exec("machine", "burn", "0.5").ok()
    container.sh("dd if=/dev/zero of=/file bs=1M count=20").ok()
    return container


def parsed(directory: str, beside: Lxcfs, container: Container) -> Parsed:
    read: Parsed = json.loads(beside.output(container.pid, PYTHON, "-c", PARSED, directory))
    return read


def both(beside: Lxcfs, container: Container) -> tuple[Parsed, Parsed]:
    """Ours and theirs. Ours is read from the host's pid namespace: what it shows does not depend on the reader."""
    ours = subprocess.run([PYTHON, "-c", PARSED, f"/proc/{container.pid}/root/proc"], capture_output=True, text=True, check=True).stdout
    return json.loads(ours), parsed(f"{beside.mountpoint}/proc", beside, container)


def texts(name: str, beside: Lxcfs, container: Container) -> tuple[str, str]:
    return Path(f"/proc/{container.pid}/root/{name}").read_text(), beside.output(container.pid, "cat", f"{beside.mountpoint}/{name}")


def test_psutil_reads_both_and_finds_the_same(beside: Lxcfs, container: Container) -> None:
    """Memory within 4 MiB (lxcfs reads a moment later), totals and numbers of processors exactly."""
    ours, theirs = both(beside, container)
    assert ours["memory"]["total"] == theirs["memory"]["total"] == LIMIT
    for key in ("available", "used", "free", "active", "inactive", "cached", "buffers", "shared", "slab"):
        assert ours["memory"][key] == pytest.approx(theirs["memory"][key], abs=4 * MIB), key
    assert (ours["swap"]["total"], ours["swap"]["used"]) == (theirs["swap"]["total"], theirs["swap"]["used"])
    assert ours["cpus"] == theirs["cpus"] == 1
    assert abs(ours["btime"] - theirs["btime"]) <= 1
    assert ours["cpu"].keys() == theirs["cpu"].keys()


def test_what_lxcfs_leaves_the_hosts_is_the_containers(beside: Lxcfs, container: Container) -> None:
    """Kernel memory, commit, disks, interrupts, numbers of processes: of the host there."""
    ours, theirs = texts("proc/meminfo", beside, container)
    mine, others = ({line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()} for text in (ours, theirs))
    assert list(mine) == [key for key in others if not key.startswith("DirectMap")]
    assert all(mine[key] <= others[key] for key in ("KReclaimable", "PageTables", "KernelStack", "Percpu", "CommitLimit", "Committed_AS"))
    stat, _ = texts("proc/stat", beside, container)
    assert re.search(r"^intr 0\nctxt 0\n", stat, re.MULTILINE)
    assert re.search(r"^processes \d{1,3}$", stat, re.MULTILINE)
    assert len(texts("proc/diskstats", beside, container)[0].splitlines()) <= 1


def test_time_that_was_burned(beside: Lxcfs, container: Container) -> None:
    """lxcfs counts from its first look on; we show what the kernel has counted, and the number the CPU really has."""
    ours, theirs = both(beside, container)
    assert sum(ours["cpu"][key] for key in ("user", "system")) >= 0.45
    assert sum(ours["cpu"][key] for key in ("user", "system")) >= sum(theirs["cpu"][key] for key in ("user", "system"))
    stat, _ = texts("proc/stat", beside, container)
    assert [line.split()[0] for line in stat.splitlines()][:2] == ["cpu", f"cpu{HOST_ONLINE[-1]}"]


def test_texts_of_one_shape(beside: Lxcfs, container: Container) -> None:
    """uptime within a second, load within 0.2 (lxcfs starts at 0.00), as many blocks of cpuinfo with as many lines, one CPU online."""
    ours, theirs = texts("proc/uptime", beside, container)
    assert float(ours.split()[0]) == pytest.approx(float(theirs.split()[0]), abs=1)
    ours, theirs = texts("proc/loadavg", beside, container)
    assert [float(word) for word in ours.split()[:3]] == pytest.approx([float(word) for word in theirs.split()[:3]], abs=0.2)
    assert ours.split()[3].split("/")[1] == theirs.split()[3].split("/")[1]
    ours, theirs = texts("proc/cpuinfo", beside, container)
    assert [line.split(":")[0] for line in ours.splitlines()] == [line.split(":")[0] for line in theirs.splitlines()]
    ours, theirs = texts("proc/swaps", beside, container)
    assert ours.split() == theirs.split()
    ours, theirs = texts("sys/devices/system/cpu/online", beside, container)
    assert (ours.strip(), theirs.strip()) == (str(HOST_ONLINE[-1]), "0")  # lxcfs numbers anew; sched_getaffinity and we do not


@pytest.mark.parametrize("command", [("free", "-k"), ("vmstat", "-S", "k"), ("uptime",), ("top", "-b", "-n1")])
def test_procps_parses_both(beside: Lxcfs, container: Container, command: tuple[str, ...]) -> None:
    """Each file over the host's, in a mount namespace of the command's own: as many words, whatever they say."""
    over = ('for name in meminfo stat uptime loadavg swaps diskstats cpuinfo; do mount --bind "$0/$name" /proc/$name; done; '
            'exec "$@"')
    shapes = []
    for directory in (f"/proc/{container.pid}/root/proc", f"{beside.mountpoint}/proc"):
        words = ["nsenter", f"--mount=/proc/{beside.pid}/ns/mnt", "unshare", "--mount", "sh", "-ec", over, directory, *command]
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        shapes.append([len(line.split()) for line in shown.splitlines()[:2]])
    assert shapes[0] == shapes[1] or command[0] in ("uptime", "top")
    assert all(shapes)
