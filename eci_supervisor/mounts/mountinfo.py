"""/proc/PID/mountinfo as values. Pure.

Some facts about its escapes. Blank, tab, newline and backslash of a path are written as `\\040` and so on; a root below which the mount
is unreachable is left out by the kernel, a mount hidden under another is not. The options of the superblock are the file system's own
words: they stay raw here, since an escaped comma in them must not become one that separates.
"""
from dataclasses import dataclass


class MountinfoError(ValueError):
    """A line that no kernel writes; the text quotes it."""


@dataclass(frozen=True, slots=True)
class MountLine:
    """One mount.

    root: of the mount inside its file system; mount_point: relative to the reader's root; options, super_options: comma-separated, the
    latter raw; tags: the optional fields, such as `shared:3`.
    """

    id: int
    parent: int
    device: str
    root: bytes
    mount_point: bytes
    options: tuple[str, ...]
    tags: tuple[str, ...]
    fstype: str
    source: bytes
    super_options: bytes

    def below(self, path: bytes) -> bool:
        """Whether it is mounted at `path` or anywhere below."""
        return self.mount_point == path or self.mount_point.startswith(path.rstrip(b"/") + b"/")


def parse_mountinfo(text: bytes) -> tuple[MountLine, ...]:
    """Every line, in the kernel's order: of two mounts at one place the later lies on top. Source: show_mountinfo(), fs/proc_namespace.c.

    Raises MountinfoError.
    """
    return tuple(parse_line(line) for line in text.split(b"\n") if line)


def parse_line(line: bytes) -> MountLine:
    """`ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER`; raises MountinfoError."""
    fields = line.split(b" ")
    try:
        dash = fields.index(b"-", 6)
        fstype, source, super_options = fields[dash + 1 : dash + 4]
        return MountLine(
            int(fields[0]), int(fields[1]), fields[2].decode("ascii"), unescaped(fields[3]), unescaped(fields[4]), _words(fields[5]),
            tuple(tag.decode("ascii") for tag in fields[6:dash]), fstype.decode("ascii"), unescaped(source), super_options,
        )
    except ValueError as error:
        raise MountinfoError(f"mountinfo: {line[:200]!r}: {error}") from error


def unescaped(text: bytes) -> bytes:
    """The path that `\\ooo` stands for in it; a backslash before anything else stands for itself."""
    if b"\\" not in text:
        return text
    first, *rest = text.split(b"\\")
    octal = b"01234567"
    return first + b"".join(
        bytes((int(part[:3], 8) & 0xFF,)) + part[3:] if len(part) >= 3 and all(digit in octal for digit in part[:3]) else b"\\" + part
        for part in rest
    )


def _words(text: bytes) -> tuple[str, ...]:
    return tuple(text.decode("ascii").split(","))
