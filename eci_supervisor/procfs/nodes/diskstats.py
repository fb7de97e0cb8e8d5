"""/proc/diskstats: a line for each disk that the container used; times and merges are 0. Source: diskstats_show of block/genhd.c."""
from eci_supervisor.procfs.accounts import Disk
from eci_supervisor.procfs.sample import Sample

SECTOR_BYTES = 512


def render(sample: Sample) -> bytes:
    return b"".join(map(line, sample.disks))


def line(disk: Disk) -> bytes:
    """Of reads, writes and discards: how many, merged, sectors, milliseconds; between them what is in flight; flushes at the end."""
    return b"%4d %7d %s %d 0 %d 0 %d 0 %d 0 0 0 0 %d 0 %d 0 0 0\n" % (
        disk.major, disk.minor, disk.name, disk.reads, disk.read_bytes // SECTOR_BYTES, disk.writes, disk.written_bytes // SECTOR_BYTES,
        disk.discards, disk.discarded_bytes // SECTOR_BYTES)
