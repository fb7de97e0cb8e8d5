"""docs/proc-sys.md is the list of what is virtual: every node of the tree stands in it, and nothing else."""
import re
from pathlib import Path

from eci_supervisor.procfs import tree
from eci_supervisor.procfs.node import Dir, walk

PAGE = Path(__file__).parents[2] / "docs/proc-sys.md"
TOPS = {"node": "", "below /proc/sys": "/proc/sys/", "below /sys": "/sys/"}


def listed() -> set[str]:
    """First columns of the tables that list nodes: `a/b, c` is a/b and a/c, nodeN any node; remarks in parentheses left out."""
    found, top = set(), None
    for line in PAGE.read_text().splitlines():
        first = line.split("|")[1].strip() if line.startswith("| ") else ""
        if first in TOPS:
            top = TOPS[first]
        elif not first:
            top = top if line.startswith("|") else None
        elif top is not None and not first.endswith("(2)"):
            directory = ""
            for name in re.sub(r" \(.*?\)", "", first).split(", "):
                path = name if "/" in name else directory + name
                directory = path.rpartition("/")[0] + "/"
                found.add(top + path)
    return found


def nodes() -> set[str]:
    paths = {f"/{path.decode()}" for path, node in walk(tree.ROOT) if not isinstance(node, Dir)}
    return {re.sub(r"/node\d+/", "/nodeN/", path) for path in paths}


def test_every_node_is_listed() -> None:
    assert listed() == nodes()
