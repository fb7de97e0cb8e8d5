"""What the query of a request may say, where that reaches further than its route: one rule a route, as literals. No I/O."""
import re
from collections.abc import Callable, Mapping
from typing import Final

from eci_supervisor.docker.bodies import BodyRefused
from eci_supervisor.docker.target import Target

_CLIENTS_OWN = ("client-session", "upload-request")  # BuildKit's ways to a context that the client has
_COLUMNS = re.compile(r"-o [a-z%]+(,[a-z%]+)*")


def _none_of(why: str, *keys: str) -> Callable[[Target], None]:
    def check(target: Target) -> None:
        for key in keys:
            if target.value(key):
                raise BodyRefused(f"?{key}", target.value(key), why)

    return check


def _columns(target: Target) -> None:
    # They become arguments of the host's ps.
    written = target.value("ps_args")
    if written not in ("", "-ef", "aux") and not _COLUMNS.fullmatch(written):
        raise BodyRefused("?ps_args", written, "use -ef, aux or -o COLUMN,COLUMN")


def _import(target: Target) -> None:
    if target.value("fromSrc") != "-":
        raise BodyRefused("?fromSrc", target.value("fromSrc"), "the engine would fetch it: send the image in the body")


def _build(target: Target) -> None:
    mode = target.value("networkmode")
    if mode == "host" or mode.startswith(("container:", "ns:")):
        raise BodyRefused("?networkmode", mode, "a namespace of the host or of another container")
    _none_of("the engine would act outside of the build", "cgroupparent")(target)
    if target.value("remote") not in ("", *_CLIENTS_OWN):
        raise BodyRefused("?remote", target.value("remote"), "the engine would fetch it: send the context")


_CHECKPOINT_DIR = _none_of("it is a directory of the host", "dir")
RULES: Final[Mapping[tuple[str, str], Callable[[Target], None]]] = {
    ("POST", "/build"): _build,
    ("GET", "/containers/{id}/checkpoints"): _CHECKPOINT_DIR,
    ("DELETE", "/containers/{id}/checkpoints/{checkpoint}"): _CHECKPOINT_DIR,
    ("POST", "/containers/{id}/start"): _none_of("checkpoints are the host's", "checkpoint", "checkpoint-dir"),
    ("GET", "/containers/{id}/top"): _columns,
    ("POST", "/images/create?fromSrc"): _import,
}


def check(method: str, path: str, target: Target) -> None:
    """Raises BodyRefused for what a query may not say."""
    rule = RULES.get((method, path))
    if rule is not None:
        rule(target)
