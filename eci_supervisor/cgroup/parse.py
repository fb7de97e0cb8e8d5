"""The texts cgroups speak: memberships, mounts, limits, statistics. Pure; every function raises ParseError for a shape it does not know.

Some facts about cgroups:

- Version 1 has one hierarchy for each set of controllers, each mounted at its own place; version 2 has one hierarchy for all. Both
  can be there at once (hybrid), each controller in one of them.
- /proc/PID/cgroup gives paths relative to the root of the *reader's* cgroup namespace; a path that starts with /.. is outside it.
- The root of a mount (field 4 of mountinfo) is a prefix of those paths when a part of the hierarchy was bind-mounted.
"""
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

UNIFIED = b""  # stands for the version 2 hierarchy where a controller's name stands for one of version 1


class ParseError(ValueError):
    """A text of the kernel has another shape than this version knows; the text says which."""


@dataclass(frozen=True, slots=True)
class Place:
    """A container's directory in one hierarchy, and the directory of that hierarchy's root (or of the part that is mounted)."""

    version: int
    directory: bytes
    top: bytes

    @property
    def path(self) -> bytes:
        """From the hierarchy's root; b"" is that itself."""
        return self.directory.removeprefix(self.top)

    def ancestors(self) -> Iterator[bytes]:
        """The directory, its parent, and so on; the hierarchy's root only if it is the directory itself."""
        at = self.directory
        yield at
        while (at := posixpath.dirname(at)).startswith(self.top + b"/"):
            yield at


def memberships(text: bytes) -> dict[bytes, bytes]:
    """/proc/PID/cgroup: path by controller; version 2 as UNIFIED, hierarchies without controllers as name=NAME."""
    paths: dict[bytes, bytes] = {}
    for line in text.splitlines():
        parts = line.split(b":", 2)
        if len(parts) != 3:
            raise ParseError(f"/proc/PID/cgroup: {line!r}")
        for controller in parts[1].split(b","):
            paths[controller] = parts[2]
    return paths


def places(cgroup_text: bytes, mountinfo_text: bytes) -> dict[bytes, Place]:
    """Where the process of `cgroup_text` is, by controller (UNIFIED: version 2). Hierarchies that are not mounted are left out."""
    found: dict[bytes, Place] = {}
    paths = memberships(cgroup_text)
    for version, controllers, root, point in cgroup_mounts(mountinfo_text):
        for controller in controllers:
            path = paths.get(controller)
            if path is None or controller in found or (below := relative(path, root)) is None:
                continue
            found[controller] = Place(version, (point + b"/" + below).rstrip(b"/"), point)
    return found


def relative(path: bytes, root: bytes) -> bytes | None:
    """`path` seen from `root`, b"" if they are the same; None if it is not below."""
    if root == b"/":
        return None if path.startswith(b"/..") else path.lstrip(b"/")
    if path == root:
        return b""
    return path.removeprefix(root + b"/") if path.startswith(root + b"/") else None


def cgroup_mounts(mountinfo_text: bytes) -> Iterator[tuple[int, tuple[bytes, ...], bytes, bytes]]:
    """(version, controllers, root, mount point) of each cgroup mount of /proc/PID/mountinfo. Source: Documentation/filesystems/proc.rst."""
    for line in mountinfo_text.splitlines():
        fields, _, rest = line.partition(b" - ")
        words, source = fields.split(b" "), rest.split(b" ")
        if len(words) < 6 or len(source) < 3:
            raise ParseError(f"mountinfo: {line!r}")
        root, point = unescaped(words[3]), unescaped(words[4])
        if source[0] == b"cgroup2":
            yield 2, (UNIFIED,), root, point
        elif source[0] == b"cgroup":
            yield 1, tuple(source[2].split(b",")), root, point


def unescaped(field: bytes) -> bytes:
    """A path of mountinfo without the kernel's octal escapes of blank, tab, newline, backslash."""
    for escaped, plain in ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\")):
        field = field.replace(escaped, plain)
    return field


def flat(text: bytes) -> dict[bytes, int]:
    """`key value` a line: memory.stat, cpu.stat. Keys are whole words; a line of another shape is ParseError."""
    values: dict[bytes, int] = {}
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if not value.isdigit():
            raise ParseError(f"`key value` expected: {line!r}")
        values[key] = int(value)
    return values


def number(text: bytes) -> int:
    """One decimal number and a newline; negative ones too (cpu.cfs_quota_us)."""
    try:
        return int(text)
    except ValueError:
        raise ParseError(f"a number expected: {text[:40]!r}") from None


def limit(text: bytes) -> int | None:
    """A limit of version 2: None for `max`."""
    return None if text.strip() == b"max" else number(text)


def usage_all(text: bytes) -> dict[int, tuple[int, int]]:
    """cpuacct.usage_all: nanoseconds of user and of system time, by CPU. The first line names the columns."""
    busy: dict[int, tuple[int, int]] = {}
    for line in text.splitlines()[1:]:
        try:
            cpu, user, system = map(int, line.split())
        except ValueError:
            raise ParseError(f"cpuacct.usage_all: {line!r}") from None
        busy[cpu] = user, system
    return busy


def usage_percpu(text: bytes) -> dict[int, int]:
    """cpuacct.usage_percpu: nanoseconds by CPU, all of the possible ones in order."""
    return dict(enumerate(map(number, text.split())))


def cpu_list(text: bytes) -> tuple[int, ...]:
    """`0,2-3` as (0, 2, 3); an empty line is no CPU."""
    cpus: list[int] = []
    for part in text.strip().split(b","):
        if part:
            first, _, last = part.partition(b"-")
            cpus.extend(range(number(first), number(last or first) + 1))
    return tuple(cpus)


def pressure_total(text: bytes) -> int:
    """Microseconds in which some task was held up: cpu.pressure, io.pressure. Source: Documentation/accounting/psi.rst."""
    for line in text.splitlines():
        kind, _, rest = line.partition(b" ")
        total = rest.rpartition(b"total=")[2]
        if kind == b"some" and total.isdigit():
            return int(total)
    raise ParseError(f"`some ... total=` expected: {text[:80]!r}")


def numa_stat(text: bytes) -> dict[bytes, dict[int, int]]:
    """memory.numa_stat: `key N0=1 N1=2` (version 2, bytes) or `key=3 N0=1 N1=2` (version 1, pages): by key, then by node."""
    found: dict[bytes, dict[int, int]] = {}
    for line in text.splitlines():
        words = line.split()
        try:
            values = {int(node[1:]): int(value) for node, _, value in (word.partition(b"=") for word in words[1:])}
        except ValueError:
            raise ParseError(f"memory.numa_stat: {line!r}") from None
        found[words[0].partition(b"=")[0]] = values
    return found
