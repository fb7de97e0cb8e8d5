r"""/proc/PID/mountinfo as values. Pure. Source: proc_pid_mountinfo(5), fs/proc_namespace.c.

Some facts. Blank, tab, newline, backslash and `#` of a path are written as `\040` and so on. Mounts that are not reachable from the
reader's root are left out, those hidden under another are not. The options of a superblock are the file system's own words: they stay
as written, since an escaped comma in them must not become one that separates.
"""
from dataclasses import dataclass
from typing import Final

_OCTAL: Final = frozenset(b"01234567")


class MountinfoError(ValueError):
    """Not a line of mountinfo; the text shows it."""


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One mount. Paths are bytes, unescaped; `path` is the mount point below the reader's root, `root` what of its superblock is shown.

    optional: the propagation tags (shared:N, master:N …); options are the mount's own, super_options those of its superblock, raw.
    """

    id: int
    parent: int
    major: int
    minor: int
    root: bytes
    path: bytes
    options: tuple[bytes, ...]
    optional: tuple[bytes, ...]
    fstype: bytes
    source: bytes
    super_options: tuple[bytes, ...]

    @property
    def read_only(self) -> bool:
        """Whether the mount refuses writes, whatever its superblock does."""
        return b"ro" in self.options

    @property
    def idmapped(self) -> bool:
        return b"idmapped" in self.options

    def below(self, path: bytes) -> bool:
        """Whether it is mounted at `path` or anywhere below."""
        return self.path == path or self.path.startswith(path.rstrip(b"/") + b"/")


def parse_mountinfo(text: bytes) -> tuple[MountEntry, ...]:
    """A whole file, in its order: of two mounts at one place the later lies on top. Raises MountinfoError."""
    return tuple(parse_line(line) for line in text.split(b"\n") if line)


def parse_line(line: bytes) -> MountEntry:
    """`ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [TAG…] - TYPE SOURCE SUPER`; raises MountinfoError."""
    fields = line.split(b" ")
    try:
        dash = fields.index(b"-", 6)
        major, minor = fields[2].split(b":")
        fstype, source, super_options = fields[dash + 1 :]
        return MountEntry(
            id=int(fields[0]), parent=int(fields[1]), major=int(major), minor=int(minor), root=unescape(fields[3]),
            path=unescape(fields[4]), options=tuple(fields[5].split(b",")), optional=tuple(fields[6:dash]), fstype=unescape(fstype),
            source=unescape(source), super_options=tuple(super_options.split(b",")),
        )
    except ValueError as error:
        raise MountinfoError(f"not a line of mountinfo: {line[:200]!r}") from error


def unescape(text: bytes) -> bytes:
    r"""Undoes octal escapes; a backslash before anything else stands for itself."""
    if b"\\" not in text:
        return text
    first, *rest = text.split(b"\\")
    return first + b"".join(_unescaped(part) for part in rest)


def _unescaped(part: bytes) -> bytes:
    """What a backslash and `part` behind it stand for."""
    if len(part) < 3 or not _OCTAL.issuperset(part[:3]):
        return b"\\" + part
    return bytes((int(part[:3], 8) & 0xFF,)) + part[3:]
