"""What readers of the views cost: within a sample's life, after it, and a hundred of them at once."""
import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.containers import PROGRAMS
from bench.processor import share
from tests.support.rootfs import compile_program
from tests.support.view import Served, read_once, served

pytestmark = pytest.mark.requires("root", "fuse")

LIFE_S = 0.1


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("view")) as serving, subprocess.Popen(["sleep", "600"]) as init:
        serving.ask(f"attach {init.pid}")
        yield serving
        init.kill()


def test_56_within_its_life_a_reader_costs_no_request(view: Served) -> None:
    for name in ("uptime", "meminfo"):
        while True:  # until one round fits into one life
            start = time.monotonic()
            read_once(view.proc(name))
            before = view.requests()
            contents = {read_once(view.proc(name)) for _ in range(20)}
            asked = view.requests() - before
            if time.monotonic() - start < LIFE_S / 2:
                break
        assert asked == 0
        assert len(contents) == 1


def test_after_its_life_it_costs_two(view: Served) -> None:
    read_once(view.proc("uptime"))
    before = view.requests()
    time.sleep(2 * LIFE_S)
    read_once(view.proc("uptime"))
    assert view.requests() - before == 2  # GETATTR and READ; no LOOKUP, OPEN, FLUSH, RELEASE


def test_56_a_hundred_readers_are_cheap(tmp_path: Path) -> None:
    """Each asks for itself when a sample is over; all but one are answered without Python."""
    program = compile_program(PROGRAMS / "readers.c", tmp_path / "readers")
    with served(tmp_path) as view:
        view.ask(f"attach {os.getpid()}")
        command = [str(program), "100", "1", str(view.proc("meminfo"))]
        assert any(share([view.process.pid], lambda: subprocess.run(command, check=True)) < 0.05 for _ in range(2))


def test_56_a_flood_of_questions_leaves_time_for_others(view: Served) -> None:
    """What asks each time, whatever the kernel knows: statx(2) with AT_STATX_FORCE_SYNC."""
    libc, path, end = ctypes.CDLL(None), os.fsencode(view.proc("uptime")), time.monotonic() + 0.5

    def ask() -> None:
        into = ctypes.create_string_buffer(256)
        while time.monotonic() < end:
            assert libc.statx(-100, path, 0x2000, 0x7FF, into) == 0

    threads = [threading.Thread(target=ask) for _ in range(4)]
    before, answers = view.requests(), 0
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        answers += view.requests() > before
    for thread in threads:
        thread.join()
    assert answers > 10
    assert view.requests() - before > 1000


def test_all_nodes_change_at_one_moment(view: Served) -> None:
    """What /proc/vmstat says between two equal readings of /proc/meminfo is of the same sample."""
    held, told, end = [b""], set[tuple[int, int]](), time.monotonic() + 20
    while len(told) < 8:
        assert time.monotonic() < end
        if len(held) <= len(told):
            held.append(b"x" * (4 << 20))  # something to tell
        before, vmstat, after = (read_once(view.proc(name)) for name in ("meminfo", "vmstat", "meminfo"))
        if before == after:
            told.add((int(field(before, b"MemFree:")), 4 * int(field(vmstat, b"nr_free_pages"))))
    assert [(of_meminfo, of_vmstat) for of_meminfo, of_vmstat in told if of_meminfo != of_vmstat] == []


def field(text: bytes, name: bytes) -> bytes:
    return next(line.split()[1] for line in text.splitlines() if line.split()[0] == name)
