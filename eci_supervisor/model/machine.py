"""What sysinfo(2) says of a container's machine."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """until_ns: CLOCK_MONOTONIC, stale from then on; wide, narrow: struct sysinfo for callers of 64 and of 32 bits."""

    until_ns: int
    wide: bytes
    narrow: bytes
