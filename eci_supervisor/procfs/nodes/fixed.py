"""Nodes whose text stays the same for the life of a container."""
from eci_supervisor.procfs.sample import Sample


def cmdline(_sample: Sample) -> bytes:
    """/proc/cmdline, empty: the parameters of the host's kernel can carry secrets."""
    return b"\n"


def partitions(_sample: Sample) -> bytes:
    """/proc/partitions: the header. Source: show_partition_start of block/genhd.c."""
    return b"major minor  #blocks  name\n\n"


def boot_id(sample: Sample) -> bytes:
    return b"%s\n" % sample.identity.boot_id


def product_uuid(sample: Sample) -> bytes:
    return b"%s\n" % sample.identity.product_uuid
