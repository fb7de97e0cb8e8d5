"""Names that a settings file may use of what others define: system calls, the floor, kinds of namespaces, virtual sysctls. Pure."""
from typing import Final

from eci_supervisor.policy.arch import Abi, number
from eci_supervisor.policy.table import FLOOR, KINDS
from eci_supervisor.procfs.node import Tunable, walk
from eci_supervisor.procfs.tree import PROC

SYSCTLS: Final = frozenset(
    path.removeprefix(b"sys/").decode().replace("/", ".")
    for path, node in walk(PROC) if path.startswith(b"sys/") and isinstance(node, Tunable))


def is_known_call(name: str) -> bool:
    return any(number(abi, name) is not None for abi in Abi)


def is_floor_call(name: str) -> bool:
    return name in FLOOR


def kind_of(name: str) -> str:
    """The OCI spec's name for a kind of namespace as /proc/PID/ns has it; "" for any other."""
    spelled = {"mnt": "mount", "net": "network"}
    return spelled.get(name, name if name in KINDS and name not in spelled.values() else "")


def sysctl_name(name: str) -> str:
    """`vm.max_map_count` of that or of `vm/max_map_count`; "" for one that is not virtual."""
    dotted = name.replace("/", ".")
    return dotted if dotted in SYSCTLS else ""
