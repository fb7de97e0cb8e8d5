"""/sys/devices/system/cpu/{online,present,offline}. Source: drivers/base/cpu.c.

`possible` stays the kernel's: programs size arrays by it, and index them by CPU number.
"""
from eci_supervisor.procfs.cpu_view import list_text
from eci_supervisor.procfs.sample import Sample


def online(sample: Sample) -> bytes:
    return list_text(sample.cpu.shown)


def offline(sample: Sample) -> bytes:
    """What is possible and not online: together they are all."""
    return list_text([cpu for cpu in sample.cpu.possible if cpu not in sample.cpu.shown])
