"""What readers of a tunable are promised while others write: once the writes have returned, what was stored, by every way to read.

Until then the kernel may show what it has in its page cache: the writer's bytes, accepted or not, cut at the size of before.
"""
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.test_view import read_once, sent_once, write_once
from tests.support.view import served

pytestmark = pytest.mark.requires("root", "fuse")

NODE = "sys/kernel/panic"
ROUNDS = 60
WRITERS = 6


@pytest.fixture
def tunable(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path) as view:
        yield str(view.proc(NODE))


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
