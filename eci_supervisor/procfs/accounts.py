"""What a container did to disks and memory, as counters. Pure: texts of cgroups in, values out."""
from collections.abc import Mapping
from dataclasses import dataclass

from eci_supervisor.cgroup.parse import ParseError


@dataclass(frozen=True, slots=True)
class Disk:
    """One device: operations and bytes, as the container caused them; `name` is the kernel's."""

    major: int
    minor: int
    name: bytes = b""
    reads: int = 0
    read_bytes: int = 0
    writes: int = 0
    written_bytes: int = 0
    discards: int = 0
    discarded_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Events:
    """Memory events by the names of /proc/vmstat; only those that a cgroup counts."""

    counts: Mapping[bytes, int]


# io.stat's key, or the version 1 operation (serviced, service_bytes), of each counter.
UNIFIED = {b"rios": "reads", b"rbytes": "read_bytes", b"wios": "writes", b"wbytes": "written_bytes", b"dios": "discards",
           b"dbytes": "discarded_bytes"}
SERVICED = {b"Read": "reads", b"Write": "writes", b"Discard": "discards"}
SERVICE_BYTES = {b"Read": "read_bytes", b"Write": "written_bytes", b"Discard": "discarded_bytes"}


def unified_disks(text: bytes) -> dict[tuple[int, int], Disk]:
    """io.stat: `8:0 rbytes=1 wbytes=2 …`; a device without any counter is left out. Raises ParseError."""
    disks = {}
    for line in text.splitlines():
        device, *words = line.split()
        pairs = dict(word.partition(b"=")[::2] for word in words)
        counters = {UNIFIED[key]: _number(value, line) for key, value in pairs.items() if key in UNIFIED}
        if counters:
            at = _device(device, line)
            disks[at] = Disk(*at, b"", **counters)
    return disks


def legacy_disks(serviced: bytes, service_bytes: bytes) -> dict[tuple[int, int], Disk]:
    """blkio.throttle.io_serviced_recursive and io_service_bytes_recursive: `8:0 Read 1`, and `Total 1` last. Raises ParseError."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for text, fields in ((serviced, SERVICED), (service_bytes, SERVICE_BYTES)):
        for line in text.splitlines():
            words = line.split()
            if len(words) != 3:
                continue
            counters = found.setdefault(_device(words[0], line), {})
            if words[1] in fields:
                counters[fields[words[1]]] = _number(words[2], line)
    return {at: Disk(*at, b"", **counters) for at, counters in found.items()}


def _device(text: bytes, line: bytes) -> tuple[int, int]:
    major, _, minor = text.partition(b":")
    return _number(major, line), _number(minor, line)


def _number(text: bytes, line: bytes) -> int:
    if not text.isdigit():
        raise ParseError(f"block device counters: {line!r}")
    return int(text)


def events(stat: Mapping[bytes, int], version: int, oom_kills: int) -> Events:
    """From memory.stat: the container's own and all below, which in version 1 begin with total_."""
    prefix = b"" if version == 2 else b"total_"
    counts = {key.removeprefix(prefix): value for key, value in stat.items() if key.startswith(prefix)}
    return Events({**counts, b"oom_kill": oom_kills})
