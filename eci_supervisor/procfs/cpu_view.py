"""Which CPUs a container is shown, and how sets of CPUs are written. Pure.

Numbers are the kernel's and never changed: sched_getaffinity, getcpu and cpuset files show the same.
"""
from collections.abc import Sequence
from enum import Enum
from fractions import Fraction


class CpuView(Enum):
    """The value is the name in the settings. CPUSET agrees with what the kernel tells by sched_getaffinity; QUOTA is narrower."""

    CPUSET = "cpuset"
    QUOTA = "quota"


def shown(cpus: tuple[int, ...], quota: Fraction | None, view: CpuView) -> tuple[int, ...]:
    """Those of the effective cpuset that are shown; `quota` is in CPUs, None without a limit."""
    if view is CpuView.CPUSET or quota is None:
        return cpus
    return cpus[: max(1, -(-quota.numerator // quota.denominator))]


def list_text(cpus: Sequence[int]) -> bytes:
    """As `0,2-3` and a newline. Source: bitmap_print_to_pagebuf."""
    ranges: list[list[int]] = []
    for cpu in cpus:
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return b",".join(b"%d" % first if first == last else b"%d-%d" % (first, last) for first, last in ranges) + b"\n"


def mask_text(host: bytes, cpus: Sequence[int]) -> bytes:
    """Those of `host`, a mask of hexadecimal digits with commas, that are among `cpus`; in its width."""
    digits = host.strip().replace(b",", b"")
    wanted = int(digits, 16) & sum(1 << cpu for cpu in cpus)
    left = iter(b"%0*x" % (len(digits), wanted))
    return bytes(comma if comma == ord(",") else next(left) for comma in host.strip()) + b"\n"
