"""What serving threads do by themselves, and the lanes they take from, as native/lane.c wants it."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eci_supervisor.model.call_rules import NO_RULES, CallRules
from eci_supervisor.model.listed import NOTHING_LISTED, Listed
from eci_supervisor.native import ffi
from eci_supervisor.seccomp.usual import usual


@dataclass(frozen=True, slots=True)
class Lanes:
    """fds: of a mounter's lanes, in the order of enum eci_spare, borrowed; calls, listed: the rules that mounts are under."""

    fds: Sequence[int]
    calls: CallRules = NO_RULES
    listed: Listed = NOTHING_LISTED


def to_c(lanes: Lanes) -> Any:  # noqa: ANN401 # a cffi object has no better type
    """struct eci_mounts *."""
    mounts, found = ffi.new("struct eci_mounts *"), usual(lanes.calls, lanes.listed)
    mounts.lanes = list(lanes.fds)
    mounts.may = sum(1 << mounting for mounting in found.may)
    mounts.judged, mounts.count = found.judged, len(found.listed)
    for place, ((device, inode), what) in zip(mounts.listed, found.listed, strict=False):
        place.dev, place.ino, place.what = device, inode, what
    return mounts
