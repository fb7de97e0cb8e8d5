"""Disks, events, pressure and cgroups of version 1, version 2 and hybrid machines, to the text of each node."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_supervisor.cgroup.parse import ParseError
from eci_supervisor.procfs import accounts, identity
from eci_supervisor.procfs.accounts import Disk
from eci_supervisor.procfs.nodes import cgroups, diskstats, fixed, pressure, vmstat
from eci_supervisor.procfs.sampler import Sampler
from tests.support.machine import MIB, PID, Machine, hybrid, legacy, machine, unified

PRESSURE = "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t323\t1\nblkio\t7\t19\t1\nnet_cls\t0\t22\t1\n"
VMSTAT = "nr_free_pages 999\nnr_mapped 888\npgfault 777\noom_kill 66\npgpgin 55\npgpgout 44\nnr_unstable 3\nworkingset_nodes 2\n"


def with_host(on: Machine) -> Machine:
    on.write("proc/cgroups", CGROUPS)
    on.write("proc/vmstat", VMSTAT)
    on.write("sys/dev/block/254:0/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n")
    return on


@contextmanager
def sampler(on: Machine) -> Iterator[Sampler]:
    made = Sampler(proc=on.proc, sys=on.sys, identity=identity.identity("c1", "secret"))
    try:
        made.attach(PID)
        yield made
    finally:
        made.close()


def version_2(top: Path) -> Machine:
    on = with_host(unified(top))
    on.write("cg/pod/web/io.stat", "254:0 rbytes=1048576 wbytes=4096 rios=10 wios=2 dbytes=512 dios=1\n7:0 rbytes=5 rios=1\n8:0\n")
    on.write("cg/pod/web/memory.events", "low 0\noom 3\noom_kill 2\n")
    on.write("cg/pod/web/cgroup.stat", "nr_descendants 4\nnr_dying_descendants 9\n")
    on.write("cg/pod/web/memory.stat", (top / "cg/pod/web/memory.stat").read_text() + "pgfault 1234\n")
    on.write("cg/pod/web/memory.pressure", PRESSURE)
    return on


def test_version_2(tmp_path: Path) -> None:
    with sampler(version_2(tmp_path)) as made:
        sample = made.sample()
        assert diskstats.render(sample) == b" 254       0 vda 10 0 2048 0 2 0 8 0 0 0 0 1 0 1 0 0 0\n"
        assert cgroups.render(sample).splitlines()[1:] == [b"memory\t4\t5\t1", b"blkio\t7\t5\t1", b"net_cls\t0\t1\t1"]
        assert pressure.of("memory", b"some", b"full")(sample) == PRESSURE.encode()
        seen = dict(line.split() for line in vmstat.render(sample).decode().splitlines())
    assert seen == {"nr_free_pages": str(250 * MIB // 4096), "nr_mapped": str(5 * MIB // 4096), "pgfault": "1234", "oom_kill": "2",
                    "pgpgin": "1024", "pgpgout": "4", "nr_unstable": "0", "workingset_nodes": "0"}


def version_1(top: Path) -> Machine:
    on = with_host(legacy(top))
    on.process("4:memory:/docker/c1\n7:blkio:/docker/c1\n0::/host\n",
               [("memory", "cgroup", "rw,memory"), ("blkio", "cgroup", "rw,blkio"), ("cg", "cgroup2", "rw")])
    on.cgroup("cg/host", {"memory.pressure": PRESSURE, "io.stat": "254:0 rbytes=999 rios=99\n"})
    on.cgroup("blkio/docker", {})
    on.cgroup("blkio/docker/c1", {
        "blkio.throttle.io_serviced_recursive": "254:0 Read 10\n254:0 Write 2\n254:0 Sync 12\n254:0 Discard 1\n254:0 Total 13\nTotal 13\n",
        "blkio.throttle.io_service_bytes_recursive": "254:0 Read 1048576\n254:0 Write 4096\n254:0 Discard 512\nTotal 1053184\n"})
    on.cgroup("memory/docker/c1/inner/most", {})
    on.write("memory/docker/c1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    on.write("memory/docker/c1/memory.stat", (top / "memory/docker/c1/memory.stat").read_text() + "pgfault 7\ntotal_pgfault 1234\n")
    return on


def test_version_1_has_no_pressure_and_nothing_of_the_hosts_version_2(tmp_path: Path) -> None:
    with sampler(version_1(tmp_path)) as made:
        sample = made.sample()
        assert diskstats.render(sample) == b" 254       0 vda 10 0 2048 0 2 0 8 0 0 0 0 1 0 1 0 0 0\n"
        assert cgroups.render(sample).splitlines()[1:] == [b"memory\t4\t3\t1", b"blkio\t7\t1\t1", b"net_cls\t0\t1\t1"]
        zero = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        assert pressure.of("memory", b"some", b"full")(sample) == zero + zero.replace(b"some", b"full")
        seen = dict(line.split() for line in vmstat.render(sample).decode().splitlines())
    assert (seen["pgfault"], seen["oom_kill"], seen["pgpgin"]) == ("1234", "2", "1024")


def test_a_hybrids_version_2_counts_where_the_runtime_has_made_a_cgroup_by_the_same_path(tmp_path: Path) -> None:
    on = version_1(tmp_path)
    on.process("4:memory:/docker/c1\n0::/docker/c1\n", [("memory", "cgroup", "rw,memory"), ("cg", "cgroup2", "rw")])
    on.cgroup("cg/docker/c1", {"memory.pressure": PRESSURE})
    with sampler(on) as made:
        assert pressure.of("memory", b"some", b"full")(made.sample()) == PRESSURE.encode()
        assert pressure.of("cpu", b"some")(made.sample()).endswith(b"total=0\n")
        assert made.open_pressure("memory").fileno() >= 0
        with pytest.raises(PermissionError):
            made.open_pressure("cpu")


def test_without_an_io_controller_there_is_no_disk(tmp_path: Path) -> None:
    for number, made in enumerate((legacy, unified, hybrid)):
        with sampler(with_host(made(tmp_path / str(number)))) as taking:
            assert diskstats.render(taking.sample()) == b""


def test_identity(tmp_path: Path) -> None:
    with sampler(version_2(tmp_path)) as made:
        first = fixed.boot_id(made.sample())
        assert (len(first), first[14:15], first.endswith(b"\n")) == (37, b"4", True)
        assert fixed.product_uuid(made.sample())[14:15] == b"5"
        assert fixed.cmdline(made.sample()) == b"\n"
    assert identity.identity("c1", "secret") == identity.identity("c1", "secret")
    assert identity.identity("c1", "other").product_uuid == identity.identity("c1", "secret").product_uuid
    assert identity.identity("c1", "other").boot_id != identity.identity("c1", "secret").boot_id
    assert identity.identity("c2", "secret").product_uuid != identity.identity("c1", "secret").product_uuid


def test_counters_that_are_not_understood() -> None:
    assert accounts.unified_disks(b"8:0\n9:1 rios=1 cost.usage=5\n") == {(9, 1): Disk(9, 1, reads=1)}
    for text in (b"8:0 rios=x\n", b"sda rios=1\n"):
        with pytest.raises(ParseError):
            accounts.unified_disks(text)
    with pytest.raises(ParseError):
        accounts.legacy_disks(b"8:0 Read x\n", b"")


def test_partitions_are_the_block_devices_of_the_container(tmp_path: Path) -> None:
    made = machine(tmp_path)
    made.write("sys/dev/block/254:0/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n")
    made.write("sys/dev/block/254:0/size", 528482304)
    for disks, lines in (((), b""), (("254:0", "8:0"), b" 254        0  264241152 vda\n")):
        taking = Sampler(proc=made.proc, sys=made.sys, disks=disks)
        assert fixed.partitions(taking.sample()) == b"major minor  #blocks  name\n\n" + lines
        taking.close()
