"""What a locked procfs or sysfs tree of a container consists of."""
from dataclasses import dataclass
from enum import Enum


class TreeKind(Enum):
    """The file system a tree is made of, by the name mount(2) takes."""

    PROC = b"proc"
    SYSFS = b"sysfs"


class Cover(Enum):
    """What lies over one path of a tree. The numbers are those of the mounter's protocol."""

    READONLY = 1  # the path bound over itself, read-only, with all that is below it
    NODE = 2  # a view: a file of the container's FUSE superblock
    MASK = 3  # an empty file or an empty directory, read-only, whichever the path is
    SELF = 4  # the path bound over itself, flags unchanged: a locked child and no more
    TUNABLE = 5  # a file of the container's other FUSE superblock


@dataclass(frozen=True, slots=True)
class Entry:
    """One covered path, relative to the tree's root, without a leading slash; `node` is the FUSE inode of a NODE or TUNABLE, else 0."""

    path: bytes
    cover: Cover
    node: int = 0


@dataclass(frozen=True, slots=True)
class TreePlan:
    """A tree: entries in the order they are attached (read-only paths, then nodes, then masks); a missing path is skipped."""

    kind: TreeKind
    entries: tuple[Entry, ...]
    read_only: bool = False
