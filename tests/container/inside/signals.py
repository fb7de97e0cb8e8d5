"""Calls that signals take away while they are judged, and that come again: each is done once, or EINTR was the answer."""
import os
import signal
from collections import Counter

from tests.container.inside.calls import (
    BIND,
    DETACH,
    RDONLY,
    attach,
    context,
    fsmount,
    mount,
    name,
    open_tree,
    opened,
    reconfigure,
    setattr_,
    umount,
    virtual,
)  # fmt: skip
from tests.container.inside.procfs import N, T, proc

AFTER_S, ROUNDS = 0.0004, 40


def again(number: int, frame: object) -> None:
    """Nothing: that it interrupts is all."""
    del number, frame


def storm() -> None:
    """One signal: this handler runs when the call is over, so it could not end a row of them that leaves nobody the time to answer."""
    signal.setitimer(signal.ITIMER_REAL, AFTER_S)


def calm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def line_b04_fsmount() -> object:
    """No tree is lost with its context: the call that comes again gets it."""
    signal.signal(signal.SIGALRM, again)
    signal.siginterrupt(signal.SIGALRM, False)  # SA_RESTART
    results: Counter[str] = Counter()
    for _ in range(ROUNDS):
        made = context("proc")
        storm()
        fd = fsmount(made)
        calm()
        results[f"{name(fd)} {fd >= 0 and virtual(f'/proc/self/fd/{fd}')} {fd >= 0 and attach(fd, T)} {virtual(T)} {umount(T)}"] += 1
        for each in (fd, made):
            if each >= 0:
                os.close(each)
    return results


def line_b04_others() -> object:
    signal.signal(signal.SIGALRM, again)
    signal.siginterrupt(signal.SIGALRM, False)
    results: Counter[str] = Counter()
    for _ in range(ROUNDS // 2):
        storm()
        seen = [name(context("proc"))]
        storm()
        seen.append(name(open_tree("/proc")))
        storm()
        seen.append(mount("/proc", T, None, BIND))
        calm()
        seen += [umount(T, DETACH), umount(T, DETACH), proc()]
        storm()
        seen.append(setattr_(T, RDONLY))
        calm()
        seen.append(opened(f"{T}/{N}"))
        storm()
        seen.append(reconfigure(T, "ro"))
        storm()
        seen.append(umount(T))
        calm()
        seen.append(umount(T))
        results[" ".join(seen)] += 1
    return results
