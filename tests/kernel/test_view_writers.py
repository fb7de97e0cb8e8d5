"""What readers of a tunable are promised while others write: a value that was stored, whole, at any moment and by every way to read."""
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from eci_supervisor.procfs.tunable_files import SETTLED_NS
from tests.support.view import read_once, sent_once, served, write_once
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "fuse")

NODE = "sys/kernel/panic"
ROUNDS = 60
SETTLED_S = SETTLED_NS / 1e9
WRITERS = 6


@pytest.fixture
def tunable(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path) as view:
        yield str(view.proc(NODE))


def test_33_nobody_ever_sees_a_writers_bytes(tunable: str) -> None:
    """Ten writers of values of every length, refused ones among them, and ten readers: only what was stored, whole."""
    texts = [b"%d\n" % (10**digits) for digits in range(1, 9)] + [b"7x%d\n" % 10**5, b"99999999999\n"]
    end, seen, faults = time.monotonic() + 2, set[bytes](), list[BaseException]()
    first = read_once(tunable)

    def until_the_end(work: Callable[[], object]) -> None:
        try:
            while time.monotonic() < end:
                work()
        except BaseException as error:  # noqa: BLE001 # handed to the test
            faults.append(error)

    works: list[Callable[[], object]] = [partial(write_once, tunable, text) for text in texts]
    works += [lambda: seen.add(read_once(tunable)), lambda: seen.add(sent_once(tunable))] * 5
    threads = [threading.Thread(target=until_the_end, args=(work,)) for work in works]
    for thread in threads[:len(texts)]:
        thread.start()
    wait_until(lambda: read_once(tunable) != first, "the first one has written")
    for thread in threads[len(texts):]:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert seen <= {first, *texts[:8]}
    assert len(seen) > 2


def test_after_the_writes_everybody_reads_one_stored_value(tunable: str) -> None:
    """Values of every length and refused ones together; the pages were cached by a reader before."""
    texts = [b"%d\n" % 10**digits for digits in range(WRITERS // 2)] + [b"7x%d\n" % 10**digits for digits in range(WRITERS // 2)]
    held = os.open(tunable, os.O_RDONLY)
    try:
        for _ in range(ROUNDS):
            os.pread(held, 4096, 0)
            writers = [threading.Thread(target=write_once, args=(tunable, text)) for text in texts]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            seen = {os.pread(held, 4096, 0), read_once(tunable), sent_once(tunable)}
            assert len(seen) == 1
            assert seen <= {text for text in texts if b"x" not in text}
    finally:
        os.close(held)


@pytest.mark.parametrize("texts", [(b"100000\n", b"5\n"), (b"5\n", b"7x000\n"), (b"12\n", b"7x\n")])
def test_a_write_that_returned_is_what_is_read(tunable: str, texts: tuple[bytes, bytes]) -> None:
    """Longer after shorter, shorter after longer, refused ones between: exact bytes, no remains."""
    stored = b""
    held = os.open(tunable, os.O_RDONLY)
    try:
        for number in range(ROUNDS):
            text = texts[number % 2]
            if write_once(tunable, text) > 0:
                stored = text
            assert os.pread(held, 4096, 0) == stored == read_once(tunable) == sent_once(tunable)
            assert os.fstat(held).st_size == len(stored)
    finally:
        os.close(held)


def test_sendfile_is_refused_while_there_is_a_writer(tunable: str) -> None:
    """He may not have done with the file's length yet, however long ago his bytes were taken."""
    into, out = os.pipe()
    held, writer = os.open(tunable, os.O_RDONLY), os.open(tunable, os.O_WRONLY)

    def sent() -> bytes:
        try:
            return os.read(into, os.sendfile(out, held, 0, 4096))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return b""

    try:
        assert os.write(writer, b"12345\n") == 6
        time.sleep(2 * SETTLED_S)
        assert sent() == b""
    finally:
        os.close(writer)
    try:
        wait_until(lambda: sent() == b"12345\n", "sendfile works again")
    finally:
        for fd in (into, out, held):
            os.close(fd)
