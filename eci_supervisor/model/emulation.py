"""What passes between who decides on a call and the mounter, which does it."""
from dataclasses import dataclass


class MounterFailed(Exception):
    """The mounter could not say what became of a request."""


class MounterGone(MounterFailed):
    """Its process has ended."""


class MounterStuck(MounterFailed):
    """It did not answer in time, and was ended."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is blocked in the call: notify_fd (borrowed) and id name the notification, tid the thread in our pid namespace.

    made: the id of the mount that the same call has made before, if it is one that may be that again; else 0.
    """

    notify_fd: int
    id: int
    tid: int
    made: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an effect.

    errno: 0 or positive, as it was answered; not_tree: the target is no tree of ours, or with EACCES the caller's LSM label is not the
    mounter's, and nothing was answered; undone: the caller was gone before the answer: a new tree was detached again, what cannot be
    undone stands; uid: the caller's, None where it was gone; made: of a mount that stands, its id; denied: a rule said so, and nothing
    was done.
    """

    errno: int
    not_tree: bool = False
    undone: bool = False
    uid: int | None = None
    pid: int = 0
    made: int = 0
    denied: bool = False
