"""Which seccomp flags the real runtime takes: asked of its `features`, once for each build of it.

runc before 1.2 refuses a profile with any flag, and one that knows flags may lack WAIT_KILLABLE_RECV; so nothing is written that has not
been asked for. The answer is kept in DIR/features.json under the program's identity, since asking costs as much as a start.
"""
import json
import os
from contextlib import suppress

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.oci import child
from eci_supervisor.oci.claim import write_file


def seccomp_flags(program: str, state_dir: StateDir) -> frozenset[str]:
    """The flags that the runtime and the kernel below it support; none for one that has no `features`."""
    known = kept(state_dir.features)
    stamp = identity(program)
    flags = known.get(stamp)
    if flags is None:
        flags = parse(child.output([program, "features"]))
        fresh = f"{state_dir.features}.{os.getpid()}"
        write_file(fresh, json.dumps({**{key: sorted(value) for key, value in known.items()}, stamp: sorted(flags)}).encode())
        os.rename(fresh, state_dir.features)
    return flags


def parse(text: bytes) -> frozenset[str]:
    """linux.seccomp.supportedFlags of what `features` prints; empty for anything else. Source: runtime-spec, features.md."""
    try:
        flags = json.loads(text)["linux"]["seccomp"]["supportedFlags"]
    except (ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(flag for flag in flags if isinstance(flag, str)) if isinstance(flags, list) else frozenset()


def identity(program: str) -> str:
    found = os.stat(program)
    return f"{program}:{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"


def kept(path: str) -> dict[str, frozenset[str]]:
    """What has been asked before; nothing where there is no such file, or another version's."""
    with suppress(FileNotFoundError, ValueError, AttributeError, TypeError), open(path, "rb") as file:
        return {key: frozenset(flags) for key, flags in json.loads(file.read()).items()}
    return {}
