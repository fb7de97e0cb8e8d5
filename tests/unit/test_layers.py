"""Who may import whom. Arrows point down: mains → adapters → native, linux → cores → model.

A module that is in none of the lists is a core: it decides and parses, and does no I/O, so that it can be tested without root. One that
does I/O is listed as an adapter, on purpose and seen by a reviewer.
"""
import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "eci_supervisor"
NAME = "eci_supervisor"

MAINS = {"oci.shim", "supervisor", "forkserver.main", "control.cli"}
ADAPTERS = {
    "cgroup.delegate", "cgroup.reader", "cgroup.tasks",
    "control.choice", "control.client", "control.doctor", "control.explain", "control.follow", "control.gateway", "control.listing",
    "control.options", "control.policy", "control.policy_explain", "control.policy_suggest", "control.render",
    "control.report", "control.server",
    "docker.builders", "docker.client", "docker.created", "docker.engine", "docker.exchange", "docker.gateway", "docker.registry",
    "docker.relay", "docker.right", "docker.streams", "docker.targets", "docker.upstream", "docker.versions", "docker.witness",
    "forkserver.client", "forkserver.freshness", "forkserver.heritage", "forkserver.home", "forkserver.namespace", "forkserver.peers",
    "forkserver.plug", "forkserver.reclaim", "forkserver.rehearsal", "forkserver.server",
    "idmap.leases", "idmap.userns",
    "life.alone", "life.cgroups", "life.container", "life.docker_socket", "life.ends", "life.idle", "life.log", "life.mounter",
    "life.nodes", "life.record", "life.sysinfo",
    "life.vetting",
    "mounts.mounter",
    "observe.audit", "observe.journal", "observe.refusals",
    "oci.ask", "oci.assemble", "oci.bundle", "oci.call", "oci.caller", "oci.child", "oci.claim", "oci.create",
    "oci.creator", "oci.decided", "oci.exec_", "oci.features", "oci.joins", "oci.listing", "oci.mountpoints", "oci.recorded", "oci.report",
    "oci.restricted", "oci.rootfs", "oci.run", "oci.settled", "oci.sources", "oci.stage", "oci.told", "oci.undo",
    "procfs.accounts_family", "procfs.cpu_family", "procfs.fuse_library", "procfs.load_family", "procfs.native", "procfs.numa_family",
    "procfs.pressure_files", "procfs.readings", "procfs.sampler", "procfs.snapshots", "procfs.stores", "procfs.tunable_files",
    "procfs.tunables", "procfs.view",
    "seccomp.callers", "seccomp.depth", "seccomp.effects", "seccomp.events", "seccomp.judge", "seccomp.lane", "seccomp.listener",
    "seccomp.machine", "seccomp.places", "seccomp.repeats", "seccomp.ring", "seccomp.serve",
    "settings.store",
}  # fmt: skip
PURE_LINUX = {"linux.paths", "linux.mount_flags"}  # names and numbers, no calls
KERNEL = re.compile(r"native|linux(\..*)?")
MODEL = re.compile(r"model\..*|model")
IO = {"os", "io", "socket", "subprocess", "time", "logging", "trio", "asyncio", "signal", "select", "fcntl", "mmap", "shutil", "tempfile",
      "threading", "multiprocessing", "pathlib", "sys", "click", "rich"}  # fmt: skip
# They ask for constants of the machine: its name, which is an ABI's; its possible CPUs, from which a range follows; the size of a page.
PURE_ALL_THE_SAME = {("policy.arch", "os"), ("procfs.nodes.sysctl", "os"), ("procfs.nodes.vmstat", "mmap")}
ONE_IMPORTER = {"pydantic": "settings.schema", "pyfuse3": "procfs.view", "pyseccomp": "policy.arch", "eci_supervisor._native": "native"}


def module_name(path: Path) -> str:
    """Relative to the package: "oci.argv"; a package's __init__ has the package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Everything a module imports, wherever in it, by full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix(f"{NAME}.") in MODULES or whole in ONE_IMPORTER else node.module


def ours(path: Path) -> set[str]:
    return {name.removeprefix(f"{NAME}.") for name in imported(path) if name.startswith(f"{NAME}.") and name not in ONE_IMPORTER}


def foreign(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path) if not name.startswith(NAME)}


def layer(name: str) -> int:
    """0 for the model, up to 4 for a main."""
    if name in MAINS:
        return 4
    if name in ADAPTERS:
        return 3
    if KERNEL.fullmatch(name) and name not in PURE_LINUX:
        return 2
    return 0 if MODEL.fullmatch(name) or not name else 1


def test_every_listed_module_exists() -> None:
    assert not (MAINS | ADAPTERS | set(ONE_IMPORTER.values())) - MODULES.keys()


def test_arrows_point_down() -> None:
    upward = [f"{name} → {used}" for name, path in MODULES.items() for used in ours(path) if layer(used) > layer(name)]
    assert upward == []


def test_a_core_does_no_io() -> None:
    used = {(name, library) for name, path in MODULES.items() if layer(name) <= 1 for library in foreign(path) & IO}
    assert used == PURE_ALL_THE_SAME


def test_an_adapter_is_one() -> None:
    """Of itself, or because it uses one: else it is a core and belongs off the list."""
    idle = [name for name in ADAPTERS if not foreign(MODULES[name]) & IO and all(layer(used) <= 1 for used in ours(MODULES[name]))]
    assert idle == []


def test_some_have_one_importer() -> None:
    for library, importer in ONE_IMPORTER.items():
        users = {name for name, path in MODULES.items() if any(f"{used}.".startswith(f"{library}.") for used in imported(path))}
        assert users <= {importer}, library
