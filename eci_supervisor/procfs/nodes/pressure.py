"""/proc/pressure/*: the container's own, zero where its cgroup keeps none. Source: psi_show of kernel/sched/psi.c.

Triggers are procfs/pressure_files.py's, where tunables are served; as a view a write is EACCES.
"""
from collections.abc import Callable

from eci_supervisor.procfs.sample import Sample

NOTHING = b" avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def of(name: str, *lines: bytes) -> Callable[[Sample], bytes]:
    """The file of one resource; `lines` are those that it has."""
    return lambda sample: sample.pressure(name) or b"".join(line + NOTHING for line in lines)
