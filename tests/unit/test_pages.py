"""Which mappings are Python's heaps."""
from eci_supervisor.linux.pages import heaps

PROGRAM = b"/usr/bin/python3.11"
STACK = 0x7ffc09cec000
MAPS = b"""\
00400000-0041f000 r--p 00000000 fe:00 1234                               /usr/bin/python3.11
00946000-00a85000 rw-p 00546000 fe:00 1234                               /usr/bin/python3.11
00a85000-00aca000 rw-p 00000000 00:00 0 \n\
0e6dd000-0ec26000 rw-p 00000000 00:00 0                                  [heap]
7fa179076000-7fa179276000 rw-p 00000000 00:00 0 \n\
7fa179276000-7fa17927f000 r--p 00000000 fe:00 99                         /usr/lib/libcrypto.so.3
7fa179a82000-7fa179a85000 rw-p 0040c000 fe:00 99                         /usr/lib/libcrypto.so.3
7fa179a85000-7fa179a88000 rw-p 00000000 00:00 0 \n\
7fa179b00000-7fa179e00000 rw-s 00000000 00:01 7                          /dev/zero (deleted)
7fa17a9c1000-7fa17a9c3000 rw-p 00000000 00:00 0 \n\
7ffc09cec000-7ffc09d0d000 rw-p 00000000 00:00 0                          [stack]
"""


def test_data_of_the_program_heap_and_arenas() -> None:
    assert heaps(MAPS, PROGRAM, STACK) == [
        (0x946000, 0x13f000), (0xa85000, 0x45000), (0xe6dd000, 0x549000), (0x7fa179076000, 0x200000)]


def test_neither_stacks_nor_libraries_nor_what_is_shared() -> None:
    without = b"".join(line for line in MAPS.splitlines(True) if PROGRAM not in line and b"heap" not in line and b"00a85" not in line)
    assert heaps(without, PROGRAM, STACK) == [(0x7fa179076000, 0x200000)]


def test_not_the_threads_own_area() -> None:
    assert (0x7fa179076000, 0x200000) not in heaps(MAPS, PROGRAM, 0x7fa179276000 - 8)
    assert len(heaps(MAPS, PROGRAM, 0x7fa179276000 - 8)) == 3
