"""Line 58: every combination of the flags that choose what mount(2) does, and what came of each."""
import itertools
import os
import tempfile

from tests.container.inside.calls import (
    BIND,
    DETACH,
    MAGIC,
    MOVE,
    NOSUID,
    PRIVATE,
    RDONLY,
    REC,
    REMOUNT,
    SHARED,
    SILENT,
    SLAVE,
    UNBINDABLE,
    mount,
    table,
    umount,
)  # fmt: skip

LOOK_EVERY = 16
FLAGS = (REMOUNT, BIND, MOVE, REC, RDONLY, NOSUID, SILENT, SHARED, PRIVATE, SLAVE, UNBINDABLE)


def prepared(base: str) -> None:
    """A tmpfs of our own with two mounts in it: nobody's locks, nobody's propagation."""
    while umount(base, DETACH) == "OK":
        pass
    mount("base", base, "tmpfs")
    for name in ("source", "target"):
        os.mkdir(f"{base}/{name}")
        mount(f"{base}/{name}", f"{base}/{name}", None, BIND | REC)


def seen(base: str) -> list[str]:
    """Each mount below: where, its flags, its propagation without the group's number, whether its superblock is read-only."""
    found = []
    for line in table():
        if line[4].startswith(f"{base}/"):
            dash = line.index("-")
            tags = " ".join(tag.partition(":")[0] for tag in line[6:dash])
            found.append(f"{line[4].removeprefix(base)} {line[5]} {tags} {line[dash + 3].split(',')[0]}")
    return found


def line_58() -> object:
    """Of each combination, without and with MS_MGC_VAL: the errno, and what is mounted then if that has changed.

    After a refusal it is looked at now and then: what it had changed would show at the next look.
    """
    base = tempfile.mkdtemp()
    prepared(base)
    before, told = seen(base), dict[str, list[str]]()
    for magic, *chosen in itertools.product((0, MAGIC), *((0, flag) for flag in FLAGS)):
        flags = magic | sum(chosen)
        result = mount(f"{base}/source", f"{base}/target", "tmpfs", flags)
        after = seen(base) if result == "OK" or len(told) % LOOK_EVERY == 0 else before
        told[f"{flags:#x}"] = [result, *(after if after != before else ())]
        if after != before:
            prepared(base)
    while umount(base, DETACH) == "OK":
        pass
    os.rmdir(base)
    return told
