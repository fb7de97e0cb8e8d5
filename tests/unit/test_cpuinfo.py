"""/proc/cpuinfo of some CPUs, as x86, ARM and s390 write it."""
import pytest

from eci_supervisor.procfs.cpuinfo import parsed
from tests.support.machine import CPUINFO

ARM = """processor\t: 0
BogoMIPS\t: 50.00

processor\t: 1
BogoMIPS\t: 50.00

Hardware\t: BCM2835
Serial\t\t: 10000000abcdef01
"""
S390 = """vendor_id       : IBM/S390
# processors    : 3
features        : esan3 zarch
processor 0: version = 00,  identification = 1
processor 1: version = 00,  identification = 2
processor 2: version = 00,  identification = 3

cpu number      : 0
"""
THREADS = "".join(
    f"processor\t: {n}\nphysical id\t: {n // 4}\nsiblings\t: 4\ncore id\t\t: {n % 4 // 2}\ncpu cores\t: 2\n\n" for n in range(8))


def test_all_of_them_are_the_hosts_bytes() -> None:
    assert parsed(CPUINFO.encode()).narrowed((0, 1)) == CPUINFO.encode()


def test_a_block_keeps_its_number_and_is_recounted() -> None:
    text = parsed(CPUINFO.encode()).narrowed((1,)).decode()
    assert text.splitlines() == ["processor\t: 1", "cpu MHz\t\t: 2596.131", "physical id\t: 0", "siblings\t: 1", "core id\t\t: 1",
                                 "cpu cores\t: 1", "flags\t\t: fpu vme", ""]


@pytest.mark.parametrize(("cpus", "siblings", "cores"), [((0, 1), [2, 2], [1, 1]), ((0, 2, 5), [2, 2, 1], [2, 2, 1]),
                                                         ((0, 1, 2, 3), [4] * 4, [2] * 4)])
def test_threads_and_cores_of_each_package(cpus: tuple[int, ...], siblings: list[int], cores: list[int]) -> None:
    lines = [line.split("\t: ") for line in parsed(THREADS.encode()).narrowed(cpus).decode().splitlines() if line]
    assert [int(line[1]) for line in lines if line[0] == "siblings"] == siblings
    assert [int(line[1]) for line in lines if line[0] == "cpu cores"] == cores


def test_the_serial_number_of_a_board_is_zero() -> None:
    text = parsed(ARM.encode()).narrowed((0,)).decode()
    assert text == ARM.replace("10000000abcdef01", "0" * 16).replace("processor\t: 1\nBogoMIPS\t: 50.00\n\n", "")


def test_s390() -> None:
    info = parsed(S390.encode())
    text = info.narrowed((0, 2)).decode()
    assert "# processors    : 2\n" in text
    assert "processor 1:" not in text
    assert "processor 2:" in text
    assert info.knows((0, 2))
    assert not info.knows((3,))
