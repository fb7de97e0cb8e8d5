"""delete, as the real runtime has carried it out: whose it was, if something of ours is to be given back. Pure."""
from collections.abc import Sequence

from eci_supervisor.oci.argv import ArgvError, parse
from eci_supervisor.oci.runtimes import RealRuntime, absolute_root


def deleted(words: Sequence[str], real: str, directory: str, code: int) -> tuple[str, str] | None:
    """Root and id of the container, None for nothing to do. words: argv; code: how the real delete ended.

    With --force ours is done whatever came of theirs: engines so clean up after a create that was killed before the real runtime knew
    the id. What still lives is not given back: init and cgroup are looked at.
    """
    try:
        line = parse(words[0], words[1:])
    except (ArgvError, IndexError):
        return None  # no create was understood that said the same
    if not line.id or (code and not (line.switched("force") or line.switched("f"))):
        return None
    return absolute_root(line, RealRuntime(real), directory), line.id
