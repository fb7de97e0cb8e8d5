"""The two trap sets: the same calls get the same errnos and leave the same mounts; what the filter lets through leaves no event."""
import json

import pytest

from tests.container.conftest import Launch, write_rules
from tests.support.driver import Container, Runtime

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")

# Each in a mount namespace of its own; the mount points and flags at the end are what they have done.
STEPS = (
    "mount none /t tmpfs - , mount - /t - remount+bind+ro , mount - /t - remount+bind , umount /t , umount /t",
    "mount none /t tmpfs - , mount /t /mnt - bind , mount /t /home - bind+rec , umount /mnt detach",
    "mount none /t tmpfs - , mount /t /mnt - move , mount - /mnt - shared , mount - /mnt - slave+rec , mount - / - private+rec",
    "mount proc /t proc - , mount - /t - remount+ro , umount /t/uptime , umount /t/uptime detach , umount /t",
    "mount proc /t proc magic , mount /t /mnt - bind+rec , umount /t detach , mount /proc/uptime /mnt - move",
    "mount / /mnt - bind+rec , umount /mnt/proc/uptime , umount /mnt/proc , mount - /mnt - remount+bind+ro , umount /mnt detach",
    "mount none /t tmpfs shared+private , mount none /t tmpfs shared+bind , mount - /none - move , umount /none detach",
    "mount none /t nosuch - , mount none /t devtmpfs - , mount none /none tmpfs - , umount - , chroot /t , mount proc /t proc -",
    "unshare user , unshare mnt+pid , fork , mount none /t tmpfs - , setns /proc/self/ns/net",
)
TABLE = "exec awk '{print $5,$6}' /proc/self/mountinfo"


def seen(container: Container) -> list[list[str]]:
    return [container.sh(f"probe unshare mnt , {steps} , {TABLE}").ok().lines for steps in STEPS]


def events(container: Container) -> set[str]:
    lines = container.runtime.eci("events", "--json", container.id).ok().lines
    return {event["rule"] for event in map(json.loads, lines) if event["verdict"] == "continue"}


def test_same_verdicts_and_effects_and_events_only_where_trapped(containers: Launch, runtime: Runtime) -> None:
    everything = containers(privileged=True).up()
    write_rules(runtime, trap="needed")
    try:
        needed = containers(privileged=True).up()
    finally:
        runtime.settings.unlink()
    results = [seen(each) for each in (everything, needed)]
    assert results[0] == results[1]
    assert len([line for step in results[0] for line in step if line.endswith(": OK")]) > 30
    locked = [each.exec("attack", "locked", "/etc", "/proc/uptime").out for each in (everything, needed)]
    assert locked[0] == locked[1]
    passed = {"mount.bind_recursive", "mount.move", "mount.propagation", "umount2.detach", "unshare", "setns"}
    assert events(everything) >= passed
    assert not events(needed) & passed
    assert events(needed) >= {"mount.new", "umount2.tree"}
