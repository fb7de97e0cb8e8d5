"""Nodes whose text stays the same for the life of a container."""
from eci_supervisor.procfs.sample import Sample


def cmdline(_sample: Sample) -> bytes:
    """/proc/cmdline, empty: the parameters of the host's kernel can carry secrets."""
    return b"\n"


def partitions(sample: Sample) -> bytes:
    """/proc/partitions: the block devices that the container is given. Source: show_partition of block/genhd.c."""
    lines = (b"%4d  %7d %10d %s\n" % (disk.major, disk.minor, size, disk.name) for disk, size in sample.partitions)
    return b"major minor  #blocks  name\n\n" + b"".join(lines)


def boot_id(sample: Sample) -> bytes:
    return b"%s\n" % sample.identity.boot_id


def product_uuid(sample: Sample) -> bytes:
    return b"%s\n" % sample.identity.product_uuid
