"""Which seccomp flags and namespaces the real runtime takes: asked of its `features`, once for each build of it.

runc before 1.2 refuses a profile with any flag, and one that knows flags may lack WAIT_KILLABLE_RECV; so nothing is written that has not
been asked for. The answer is kept in DIR/features.json under the program's identity, since asking costs as much as a start.
"""
import json
import os
from contextlib import suppress
from dataclasses import dataclass

from eci_supervisor.linux.paths import StateDir
from eci_supervisor.oci import child
from eci_supervisor.oci.claim import write_file


@dataclass(frozen=True, slots=True)
class Features:
    """seccomp_flags, namespaces: those that the runtime and the kernel below it support; none for one that has no `features`."""

    seccomp_flags: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()


def features(program: str, state_dir: StateDir) -> Features:
    """Of a runtime, by its path. Raises OSError."""
    known = kept(state_dir.features)
    stamp = identity(program)
    found = known.get(stamp)
    if found is None:
        found = known[stamp] = parse(child.output([program, "features"]))
        fresh = f"{state_dir.features}.{os.getpid()}"
        write_file(fresh, json.dumps({key: [sorted(one.seccomp_flags), sorted(one.namespaces)] for key, one in known.items()}).encode())
        os.rename(fresh, state_dir.features)
    return found


def parse(text: bytes) -> Features:
    """linux.seccomp.supportedFlags and linux.namespaces of what `features` prints; none of it for anything else.

    Source: runtime-spec, features.md and features-linux.md.
    """
    try:
        linux = json.loads(text)["linux"]
        return Features(words((linux.get("seccomp") or {}).get("supportedFlags")), words(linux.get("namespaces")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Features()


def words(found: object) -> frozenset[str]:
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()


def identity(program: str) -> str:
    found = os.stat(program)
    return f"{program}:{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"


def kept(path: str) -> dict[str, Features]:
    """What has been asked before; nothing where there is no such file, or another version's."""
    with suppress(FileNotFoundError, ValueError, AttributeError, TypeError), open(path, "rb") as file:
        return {key: Features(frozenset(flags), frozenset(namespaces)) for key, (flags, namespaces) in json.loads(file.read()).items()}
    return {}
