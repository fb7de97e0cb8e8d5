"""What holds for every test: its tier's place in the order, what it requires, its time, and that it leaves no file descriptor open."""
import faulthandler
import gc
import os
import resource
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from tests.probes import PROBES, promised
from tests.support.waiting import SLOWNESS

TIERS = ("unit", "native", "project", "kernel", "container", "docker", "vm")  # cheap ones first: what they find needs no container
TIMEOUT_S = 60.0
GRACE_S = 30.0  # for a test whose main thread does not get to run its signal handler
DUMP_FD = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"timeout(seconds): instead of {TIMEOUT_S:.0f}; all stacks are printed when it is over")
    # How long an example takes is the machine's load; TIMEOUT_S bounds them all.
    settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any load")
    config.stash[DUMP_FD] = os.dup(2)  # pytest captures 2 later on
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # shells come with 1024; a test holds thousands open at once


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[DUMP_FD])


def tier(item: pytest.Item) -> int:
    parts = item.path.relative_to(Path(__file__).parent).parts
    return TIERS.index(parts[0]) if parts[0] in TIERS else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=tier)


def pytest_collection_finish() -> None:
    """What is there by now stays: a collection after each test then looks at what the test has made, and takes no time.

    hypothesis and its plugins are there by then, imported above: they ask the collector who refers to their objects, and it knows no
    frozen ones.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    demanded = promised(dict(os.environ))
    for mark in item.iter_markers("requires"):
        for word in mark.args:
            if reason := PROBES[word]():
                (pytest.fail if word in demanded else pytest.skip)(f"{word}: {reason}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Setup, test and teardown share one allowance. Past it all stacks are printed and the test fails; past the grace the run ends."""
    mark = item.get_closest_marker("timeout")
    allowed_s: float = (mark.args[0] if mark else TIMEOUT_S) * SLOWNESS
    dump = item.config.stash[DUMP_FD]

    def over(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        faulthandler.dump_traceback(file=dump)
        pytest.fail(f"took longer than {allowed_s:.0f} s; all stacks are on stderr")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, allowed_s)
    faulthandler.dump_traceback_later(allowed_s + GRACE_S, exit=True, file=dump)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def open_fds() -> dict[int, str]:
    """Our open file descriptors and what they are; the one that lists them is not among them."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that opens what it does not close fails itself, not the one that runs out of descriptors."""
    del item
    before = open_fds()
    result = yield
    gc.collect()
    if leaked := {fd: what for fd, what in open_fds().items() if before.get(fd) != what}:
        pytest.fail(f"left open: {leaked}")
    return result


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Garbage with a ResourceWarning in it is found here, at the test that made it."""
    del item
    gc.collect()
