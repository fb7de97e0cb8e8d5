"""Which cgroups are a container's own: as long as one of them has a process, its id range stays leased. Pure but for two small files."""
from eci_supervisor.forkserver.home import Hierarchy


def parse_memberships(text: bytes) -> dict[frozenset[str], str]:
    """/proc/PID/cgroup: path by controllers; the unified hierarchy has none. A line of another shape is passed over. Source: cgroups(7)."""
    found = {}
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            found[frozenset(parts[1].split(",")) if parts[1] else frozenset()] = parts[2]
    return found


def own_directories(init: bytes, creator: bytes, mounted: tuple[Hierarchy, ...]) -> tuple[str, ...]:
    """Directories of the cgroups that `init` is in and whoever created it is not (both /proc/PID/cgroup).

    A runtime makes none in some hierarchies (the unified one of a hybrid host, say): there init stays in its creator's.
    """
    theirs = parse_memberships(creator)
    found = []
    for controllers, path in parse_memberships(init).items():
        if path in ("/", theirs.get(controllers)) or "/.." in path:
            continue
        for one in mounted:
            if (one.unified and not controllers) or (controllers and controllers <= one.controllers):
                found.append(one.mountpoint + path)
                break
    return tuple(sorted(found))
