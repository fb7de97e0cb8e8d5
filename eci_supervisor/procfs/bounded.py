"""Tunables with a largest value of the admin's: `virtualNodes.max` of the settings. Pure."""
from collections.abc import Iterable, Mapping
from dataclasses import replace
from errno import EINVAL

from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs.node import Store, Tunable

PREFIX = b"proc/sys/"


def bounded(nodes: Mapping[bytes, Tunable], most: Iterable[tuple[str, int]]) -> dict[bytes, Tunable]:
    """`nodes` by path of the virtual tree; `most` by name of the sysctl ("vm.max_map_count"), one that is not among them being nothing."""
    limits = {PREFIX + name.replace(".", "/").encode(): value for name, value in most}
    return {path: replace(node, store=at_most(limits[path], node.store)) if path in limits else node for path, node in nodes.items()}


def at_most(most: int, store: Store) -> Store:
    """A store that says EINVAL to a larger number, in any of its columns."""
    def limited(present: bytes, written: bytes) -> bytes | Deny:
        text = store(present, written)
        if isinstance(text, bytes) and any(word.isdigit() and int(word) > most for word in text.split()):
            return Deny(EINVAL)
        return text

    return limited
