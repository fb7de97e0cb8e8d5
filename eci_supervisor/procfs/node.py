"""What a virtual tree is made of: directories, views, tunables. Values only; they are put together in procfs/tree.py."""
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs.sample import Sample

Store: TypeAlias = Callable[[bytes, bytes], bytes | Deny]  # (present text, written bytes) -> the text from now on


@dataclass(frozen=True, slots=True)
class File:
    """A view: read-only, computed from the sample. `inode` is its FUSE inode for ever: a mount can outlive its server.

    pressure: the resource, of a file that takes triggers.
    """

    inode: int
    render: Callable[[Sample], bytes]
    mode: int = 0o444
    pressure: str = ""


@dataclass(frozen=True, slots=True)
class Tunable:
    """A value of the container, beginning as the host's; `store` judges what is written.

    zeroes: the path of another tunable, from the tree's root, that every store sets to 0.
    """

    inode: int
    store: Store
    mode: int = 0o644
    zeroes: bytes = b""


@dataclass(frozen=True, slots=True)
class Dir:
    inode: int
    entries: Mapping[bytes, "Node"]


Node: TypeAlias = File | Tunable | Dir


def walk(directory: Dir, prefix: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    """Everything below `directory`, itself left out, with its path from there; directories before what is in them."""
    for name, node in directory.entries.items():
        path = prefix + name
        yield path, node
        if isinstance(node, Dir):
            yield from walk(node, path + b"/")
