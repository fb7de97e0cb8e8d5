"""The memory that forked processes share with each other, also after they have written to it and undone what they wrote.

Some facts about a forked CPython 3.11: whatever it looks at it writes to, for reference counts and caches lie within the objects; so a
supervisor soon has a copy of its own of most pages that its start came by (7 MiB). When it is idle, a third of them are what they were.

Some facts about private mappings (mmap(2), madvise(2)): what is written to one is a copy of the process's own. MADV_DONTNEED drops the
copy, and the next look finds the file's page again, which all processes share. With plain anonymous memory it would find zeros: so the
heaps are moved onto a file, with the content they have, before the first fork. That changes nothing else: a mapping of a memfd
that was written to is swapped, charged to a cgroup and dumped as anonymous memory is, and what was not is memory once for all.
"""
import fcntl
import gc
import os
import re
import signal
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import check, ffi, lib

MAPPING: Final = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) rw-p ([0-9a-f]+) \S+ \S+ *(.*)")
NAME: Final = "eci-pages"
MAPPED_NAME: Final = b"/memfd:eci-pages (deleted)"
ARENA_BYTES: Final = 1 << 20  # what obmalloc maps at once; libraries' own data and the thread's area are smaller
F_ADD_SEALS: Final = 1033
F_SEALS: Final = 0xF  # sealed for ever; no shrinking, growing, writing
IS_COPY: Final = 0b100  # the upper bits of a pagemap entry: there; in swap; the file's own
# Native threads that write to their stacks and to mappings of their own, and nowhere else: native/serve.c.
OWN_MAPPINGS_ONLY: Final = frozenset({b"eci-serve"})


class SharedPages:
    """The heaps of the process that made it, as they were then; in each process forked from it, a way back to them."""

    def __init__(self) -> None:
        """Moves the heaps. Only for a process with one thread, of which no signal handler is Python's. Raises OSError."""
        if threads := other_threads():
            raise OSError(f"threads {sorted(threads)} could write to what is moved")
        self._file = OwnedFd(os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        at = 0
        with open("/proc/self/maps", "rb") as maps:
            found = heaps(maps.read(), os.fsencode(os.path.realpath(sys.executable)), _own_area())
        for start, length in found:
            check(lib.eci_pages_move(self._file.fileno(), start, length, at), f"moving {length} bytes at {start:#x}")
            at += length
        fcntl.fcntl(self._file.fileno(), F_ADD_SEALS, F_SEALS)

    def give_back(self) -> int:
        """Gives back the pages that are what they were, and returns how many; none while a thread lives that may write to them.

        What is written between the look at a page and its end would be lost. Nobody writes: native/pages.c does both, and signals are
        blocked; only this thread could start another one, and those that are there write elsewhere. And a page is the file's still when
        it is looked at: nothing large is freed meanwhile, for the collector rests, and malloc does not return what lies at the heap's
        end (MALLOC_TRIM_THRESHOLD_ of forkserver/client.py). Raises OSError where the kernel does not tell which pages are copies.
        """
        if not other_threads() <= OWN_MAPPINGS_ONLY:
            return 0
        page_bytes, given, file = os.sysconf("SC_PAGESIZE"), 0, self._file.fileno()
        with _undisturbed(), open("/proc/self/maps", "rb") as maps, open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for start, end, offset, path in mappings(maps.read()):
                if path != MAPPED_NAME:
                    continue
                entries = array("Q", os.pread(pagemap.fileno(), (end - start) // page_bytes * 8, start // page_bytes * 8))
                for index in [index for index, entry in enumerate(entries) if entry >> 61 == IS_COPY]:
                    at = index * page_bytes
                    given += lib.eci_page_give_back(file, start + at, page_bytes, offset + at)
        return given


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal handler, no collector."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _own_area() -> int:
    """An address of this thread's own: its errno."""
    return int(ffi.cast("uintptr_t", lib.__errno_location()))  # noqa: SLF001 # glibc has no other name for it


def mappings(maps: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Start, end, file offset and path of the private writable ones, among the lines of /proc/self/maps. Pure."""
    for line in maps.splitlines():
        if match := MAPPING.fullmatch(line):
            yield int(match[1], 16), int(match[2], 16), int(match[3], 16), match[4]


def heaps(maps: bytes, program: bytes, own_area: int) -> list[tuple[int, int]]:
    """Start and length of what Python's objects are in. Pure.

    malloc's [heap], arenas of small objects and large blocks (anonymous), and the data of the interpreter, a `program` that
    libpython is part of; its zeroed data follows it without a name. Not the mapping with `own_area`, an address of the
    thread's own: the kernel writes there whenever it likes (restartable sequences).
    """
    found = []
    data_end = 0
    for start, end, _, path in mappings(maps):
        heap = path in (b"[heap]", program) or (not path and (start == data_end or end - start >= ARENA_BYTES))
        if heap and not start <= own_area < end:
            found.append((start, end - start))
        data_end = end if path == program else 0
    return found


def other_threads() -> set[bytes]:
    """The names of the process's threads but the main one: a new thread has its creator's until it takes another."""
    names = set()
    for number in os.listdir("/proc/self/task"):
        if int(number) != os.getpid():
            try:
                with open(f"/proc/self/task/{number}/comm", "rb") as file:
                    names.add(file.read().rstrip(b"\n"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
    return names
