"""One moment of a container, from which all of its nodes are rendered."""
from collections.abc import Callable
from functools import cached_property

from eci_supervisor.procfs.memory import Memory


class Sample:
    """Nanoseconds throughout; what a node needs is read when it is first asked for, then kept.

    taken_ns: CLOCK_MONOTONIC; uptime_ns: since the container's init started; idle_ns: summed over its CPUs.
    """

    def __init__(self, taken_ns: int, uptime_ns: int, idle_ns: Callable[[], int], memory: Callable[[], Memory]) -> None:
        self.taken_ns = taken_ns
        self.uptime_ns = uptime_ns
        self._idle_ns = idle_ns
        self._memory = memory

    @cached_property
    def idle_ns(self) -> int:
        return self._idle_ns()

    @cached_property
    def memory(self) -> Memory:
        return self._memory()
