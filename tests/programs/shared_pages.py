"""A process that shares its heaps and has a child write to them: says, as JSON, what the child found before and after it gave back.

python -m tests.programs.shared_pages
"""
import gc
import json
import os
import threading
import time
from pathlib import Path

from eci_supervisor.linux.pages import SharedPages

BLOCK = bytearray(os.urandom(4 << 20))  # large enough for a mapping of its own
PAGE, CHANGED, RESTORED = 4096, 10, 500  # pages of BLOCK: those whose change stays, and those behind them that are changed back


def private_kib() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def write() -> bytes:
    """What BLOCK is to be."""
    before = bytes(BLOCK)
    for page in range(CHANGED + RESTORED):
        BLOCK[page * PAGE] ^= 1
    for page in range(CHANGED, CHANGED + RESTORED):
        BLOCK[page * PAGE] ^= 1
    expected = bytearray(before)
    for page in range(CHANGED):
        expected[page * PAGE] ^= 1
    return bytes(expected)


def touch() -> int:
    """Looks at every object there is: up and down goes each reference count."""
    return len([id(one) for one in gc.get_objects()])


def child(pages: SharedPages) -> dict[str, object]:
    expected, objects = write(), touch()
    thread = threading.Thread(target=time.sleep, args=(0.2,))
    thread.start()
    with_a_thread = pages.give_back()
    thread.join()
    while not (given := (before_kib := private_kib()) and pages.give_back()):  # a joined thread may still be on its way out
        time.sleep(0.001)
    after_kib = private_kib()
    return {"same": expected == BLOCK, "with_a_thread": with_a_thread, "given": given, "fell_kib": before_kib - after_kib,
            "objects": touch() - objects, "again": pages.give_back(), "grandchild": grandchild(pages)}


def grandchild(pages: SharedPages) -> bool:
    """Whether a fork of a fork, as the server's other children, finds the same and gives back as well."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    before = bytes(BLOCK)
    os._exit(0 if pages.give_back() and before == BLOCK and write() == BLOCK else 1)


def main() -> None:
    gc.collect()
    gc.freeze()
    pages = SharedPages()
    read, write_ = os.pipe()
    if not (pid := os.fork()):
        os.write(write_, json.dumps(child(pages)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print(os.read(read, 65536).decode())


if __name__ == "__main__":
    main()
