"""What sysinfo(2) says of a container's machine."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """until_ns: CLOCK_MONOTONIC, stale from then on; uptime_s: rounded up; loads: 16 bits of fraction; tasks: at most 65535.

    memory: bytes, total, free, shared, buffers, swap, free swap.
    """

    until_ns: int
    uptime_s: int
    loads: tuple[int, int, int]
    memory: tuple[int, int, int, int, int, int]
    tasks: int
