"""A container's numbers against the kernel's own, for a process in a real cgroup with a limit."""
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_supervisor.cgroup.parse import UNIFIED
from eci_supervisor.cgroup.reader import places_of
from eci_supervisor.procfs.memory import parse_meminfo
from tests.support.view import Served, served
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "fuse", "cgroup")

MIB = 1 << 20
LIMIT = 64 * MIB
HOG = """
import mmap, sys
held = []
for line in sys.stdin:
    held.append(mmap.mmap(-1, int(line), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    for at in range(0, int(line), mmap.PAGESIZE):
        held[-1][at] = 1
    print("done", flush=True)
"""
MAPPER = """
import mmap, os, sys
open({cgroup!r}, "w").write(str(os.getpid()))
file = open(sys.argv[1], "w+b")
file.truncate({size})
area = mmap.mmap(file.fileno(), {size})
for at in range(0, {size}, mmap.PAGESIZE):
    area[at] = 1
print("done", flush=True)
input()
"""


class Hog:
    """A process in a memory cgroup of its own, which allocates on demand."""

    def __init__(self) -> None:
        # Python's own pages are charged before the limit is, so that the numbers below are the allocations' only.
        self.process = subprocess.Popen([sys.executable, "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        places = places_of(self.process.pid)
        parent = os.fsdecode((places.get(b"memory") or places[UNIFIED]).directory)
        self.cgroup = Path(parent) / f"eci-test-{os.getpid()}"
        self.cgroup.mkdir()
        (self.cgroup / memory_files(parent)[0]).write_text(str(LIMIT))
        (self.cgroup / "cgroup.procs").write_text(str(self.process.pid))

    def allocate(self, size: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(size, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "done\n"

    def current(self) -> int:
        return int((self.cgroup / memory_files(str(self.cgroup))[1]).read_text())

    def stat(self, key: str) -> int:
        return next(int(line.split()[1]) for line in (self.cgroup / "memory.stat").read_text().splitlines() if line.split()[0] == key)

    def close(self) -> None:
        with self.process:
            self.process.kill()
        wait_until(lambda: not (self.cgroup / "cgroup.procs").read_text(), "the cgroup is empty")
        self.cgroup.rmdir()


def memory_files(path: str) -> tuple[str, str]:
    """Names of the limit and of the usage."""
    legacy = Path(path, "memory.limit_in_bytes").exists()
    return ("memory.limit_in_bytes", "memory.usage_in_bytes") if legacy else ("memory.max", "memory.current")


@pytest.fixture
def hog() -> Iterator[Hog]:
    made = Hog()
    yield made
    made.close()


@pytest.fixture
def view(tmp_path: Path, hog: Hog) -> Iterator[Served]:
    with served(tmp_path) as serving:
        serving.ask(f"attach {hog.process.pid}")
        yield serving


def meminfo(view: Served) -> dict[bytes, int]:
    """In kB, no older than this call."""
    time.sleep(0.12)
    return parse_meminfo(view.proc("meminfo").read_bytes())


def test_the_limit_is_the_total(view: Served) -> None:
    assert meminfo(view)[b"MemTotal"] == LIMIT // 1024


def test_2_a_limit_below_changes_nothing(view: Served, hog: Hog) -> None:
    below = hog.cgroup / "below"
    below.mkdir()
    try:
        (below / memory_files(str(below))[0]).write_text(str(LIMIT // 2))
        assert meminfo(view)[b"MemTotal"] == LIMIT // 1024
    finally:
        below.rmdir()


def test_4_what_is_allocated_is_missing(view: Served, hog: Hog) -> None:
    before = meminfo(view)
    hog.allocate(30 * MIB)
    wait_until(lambda: abs(meminfo(view)[b"AnonPages"] - before[b"AnonPages"] - 30 * 1024) <= 2048, "30 MiB more of anonymous pages")
    after = meminfo(view)
    assert abs(before[b"MemFree"] - after[b"MemFree"] - 30 * 1024) <= 2048
    assert abs(after[b"MemFree"] * 1024 - (LIMIT - hog.current())) <= 2 * MIB
    assert 0 <= after[b"MemFree"] <= after[b"MemAvailable"] <= after[b"MemTotal"]
    key = "total_rss" if (hog.cgroup / "memory.limit_in_bytes").exists() else "anon"
    assert abs(after[b"AnonPages"] * 1024 - hog.stat(key)) <= 2 * MIB


def test_nothing_is_the_hosts(view: Served) -> None:
    host, seen = parse_meminfo(Path("/proc/meminfo").read_bytes()), meminfo(view)
    assert list(seen) == [key for key in host if not key.startswith(b"DirectMap")]
    for key in (b"Cached", b"AnonPages", b"Slab", b"Committed_AS", b"KernelStack", b"PageTables"):
        assert seen[key] < host[key] / 2, key


def test_9_numbers_hold_while_the_limit_changes(view: Served, hog: Hog) -> None:
    hog.allocate(20 * MIB)
    file, sizes = hog.cgroup / memory_files(str(hog.cgroup))[0], [32 * MIB, 64 * MIB, 48 * MIB]
    for turn in range(12):
        file.write_text(str(sizes[turn % 3]))
        seen = meminfo(view)
        assert 0 <= seen[b"MemFree"] <= seen[b"MemAvailable"] <= seen[b"MemTotal"] <= LIMIT // 1024
        assert max(seen.values()) < 1 << 40


def test_a_cgroup_that_is_removed_leaves_the_last_numbers(view: Served, hog: Hog) -> None:
    before = meminfo(view)
    parent = hog.cgroup.parent
    (parent / "cgroup.procs").write_text(str(hog.process.pid))
    hog.cgroup.rmdir()
    try:
        assert meminfo(view) == before
    finally:
        hog.cgroup.mkdir()
        (hog.cgroup / "cgroup.procs").write_text(str(hog.process.pid))


def test_5_pages_of_a_mapped_file(view: Served, hog: Hog, tmp_path: Path) -> None:
    """Prefix matching of keys would leave Mapped 0."""
    script = MAPPER.format(cgroup=str(hog.cgroup / "cgroup.procs"), size=20 * MIB)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "file")], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as mapper:
        assert mapper.stdout is not None
        assert mapper.stdout.readline() == b"done\n"
        seen = meminfo(view)
        mapper.communicate(b"\n")
    assert seen[b"Mapped"] >= 10 * 1024
    assert seen[b"Dirty"] > 0
    assert seen[b"Cached"] >= 10 * 1024
