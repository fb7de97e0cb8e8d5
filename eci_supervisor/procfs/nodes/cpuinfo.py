"""/proc/cpuinfo: the host's blocks of the container's CPUs, as they were when the container began. See procfs/cpuinfo.py."""
from eci_supervisor.procfs.sample import Sample


def render(sample: Sample) -> bytes:
    return sample.cpuinfo
