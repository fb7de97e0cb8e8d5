"""What a recursive copy of a directory takes along: the mounts below it, whatever is mounted over them; and what it might. Pure.

Some facts. The kernel copies by the tree of mounts, so the table is gone through by parents; a path only says which part of the mount
that is copied a child is on. Table and path are those of somebody whose root is the mount namespace's own: no chroot leaves anything out.
"""
from collections import defaultdict
from collections.abc import Iterable

from eci_supervisor.mounts.mountinfo import MountEntry


def carried(table: Iterable[MountEntry], mount: int, path: bytes) -> tuple[MountEntry, ...]:
    """The mounts below `path`, which is on the mount with number `mount`."""
    children = defaultdict(list)
    for line in table:
        if line.parent != line.id:
            children[line.parent].append(line)
    found = [line for line in children[mount] if line.below(path)]
    for line in found:  # which grows
        found += children[line.id]
    return tuple(found)


def carriers(table: Iterable[MountEntry], mount: int, numbers: Iterable[int]) -> tuple[MountEntry, ...]:
    """What is mounted right on the mount with number `mount`, and is one of these mounts or has one of them on it."""
    lines = {line.id: line for line in table}
    found = {}
    for number in numbers:
        line = lines.get(number)
        while line and line.parent != mount:
            line = lines.get(line.parent) if line.parent != line.id else None
        if line:
            found[line.id] = line
    return tuple(found.values())
