"""What is shown, and how it should come out."""
import os
import signal
import subprocess
from pathlib import Path

from demo.places import MEMORY_BYTES, Box, Place
from demo.story import Story
from eci_supervisor.model.state import ContainerState
from tests.support.driver import ECI
from tests.support.waiting import wait_gone, wait_until

FUSE_MAGIC = "65735546"

# What container root with all capabilities tries: in words, as words for tests/programs/probe.c, the errno while supervised and without.
ATTEMPTS = (
    ("umount /proc/uptime, a virtual node", "umount /proc/uptime", "EINVAL", "ENOSYS"),
    ("remount the read-only volume /r writable", "mount - /r - remount+bind", "EPERM", "ENOSYS"),
    ("the same by mount_setattr", "writable /r", "EPERM", "ENOSYS"),
    ("move the virtual node away", "mount /proc/uptime /tmp/x - move", "EINVAL", "ENOSYS"),
    ("the same by move_mount", "move-mount /proc/uptime /tmp/x", "EINVAL", "EINVAL"),
    ("open the host's disk through a device node in the volume", "open /r/disk", "EACCES", "EACCES"),
    ("make a device node", "mknod /tmp/disk b 8 0", "EPERM", "EPERM"),
    ("join the host's network namespace", "setns /hostnet", "EPERM", "ENOSYS"),
    ("a procfs of the kernel's own by fsopen", "fsopen proc unmarked", "EPERM", "ENOSYS"),
)


def ids(story: Story, first: Box, second: Box) -> None:
    story.chapter("A user namespace of its own", "Root inside is nobody outside; a second container at the same time has another range.")
    maps = []
    for box in (first, second):
        shown = box.sh("cat /proc/self/uid_map").out
        story.command(box.command("cat /proc/self/uid_map"), shown)
        maps.append(shown)
    fields = [line.split() for line in maps]
    story.check("both map container root to a host id of their own, 65536 ids each", all(f[0] == "0" and f[2] == "65536" for f in fields))
    story.check("the ranges do not overlap", abs(int(fields[0][1]) - int(fields[1][1])) >= 65536)


def nodes(story: Story, box: Box) -> None:
    story.chapter("A /proc that tells the container's story", "Beside the host's own.")
    inside = box.sh("cat /proc/uptime; head -n 3 /proc/meminfo").out
    outside = Path("/proc/uptime").read_text() + "".join(Path("/proc/meminfo").read_text().splitlines(keepends=True)[:3])
    story.command(box.command("sh -c 'cat /proc/uptime; head -n 3 /proc/meminfo'"), inside)
    story.command("cat /proc/uptime; head -n 3 /proc/meminfo    # on the host", outside)
    story.check("the container is younger than the host", float(inside.split()[0]) < float(outside.split()[0]))
    story.check("its memory is what it may use", f"MemTotal: {MEMORY_BYTES >> 10:14} kB" in inside)
    kind = box.sh("probe statfs /proc/uptime , statfs /proc/meminfo").out
    story.check("both are files of the container's own file system, not the kernel's", kind.count(FUSE_MAGIC) == 2)


def locks(story: Story, box: Box) -> None:
    story.chapter("Container root with all capabilities tries to get out", "What it tried, and the errno it got.")
    script = "touch /tmp/x; " + "; ".join(f"probe {words}" for _, words, _, _ in ATTEMPTS)
    got = [line.partition(": ")[2] for line in box.sh(script).out.splitlines()]
    story.attempts("container root tries to", [(row[0], errno, row[2]) for row, errno in zip(ATTEMPTS, got, strict=True)])


def inner_procfs(story: Story, box: Box) -> None:
    story.chapter("A procfs mounted inside", "The supervisor makes it, with the virtual nodes in it and the same locks.")
    script = "mkdir -p /tmp/p; mount -t proc proc /tmp/p && probe statfs /tmp/p/uptime"
    shown = box.sh(script).out
    story.command(box.command("sh -c 'mount -t proc proc /tmp/p; statfs /tmp/p/uptime'"), shown)
    story.check("it is virtual too", FUSE_MAGIC in shown)


def state_of(place: Place, box: Box) -> ContainerState:
    for path in place.state_dir.glob("c/*/state.json"):
        state = ContainerState.from_bytes(path.read_bytes())
        if state.id.startswith(box.name):
            return state
    raise FileNotFoundError(f"{place.state_dir}/c: no container {box.name}")


def without_supervisor(story: Story, place: Place, box: Box) -> None:
    story.chapter("The same with the supervisor killed", "What holds is held by the kernel. A trapped call that nobody answers is ENOSYS.")
    tries = "; ".join(f"probe {words}" for _, words, _, _ in ATTEMPTS)
    shared = place.volumes / "shared"
    script = f"until test -e /shared/go; do sleep 0.1; done; {tries}; probe mount proc /mnt proc -"
    box.sh(f"({{ {script}; }} >/shared/out 2>&1; touch /shared/done) >/dev/null 2>&1 </dev/null &").ok()
    supervisor = state_of(place, box).supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    wait_gone(supervisor)
    story.command(f"kill -KILL {supervisor}    # the supervisor of {box.name}", "")
    (shared / "go").touch()
    wait_until((shared / "done").exists, "all has been tried")
    *got, procfs = [line.partition(": ")[2] for line in (shared / "out").read_text().splitlines()]
    rows = [(row[0], errno, row[3]) for row, errno in zip(ATTEMPTS, got, strict=True)]
    story.attempts("container root tries to", [*rows, ("mount a procfs", procfs, "ENOSYS")])


def refusal(story: Story, place: Place) -> None:
    story.chapter("A container that asks for a namespace of the host", "Refused with one sentence, and nothing is left of it.")
    command, result = place.refused()
    story.command(command, result.err)
    sentences = [line for line in result.err.splitlines() if "host" in line]
    story.check("refused", result.status != 0)
    story.check("one sentence says why", len(sentences) == 1 or len(result.err.splitlines()) == 1)


def looking_in(story: Story, place: Place, box: Box) -> None:
    story.chapter("Looking in")


    command = [str(ECI), f"--state-dir={place.state_dir}", "inspect", box.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    story.command(f"eci inspect {box.name}", done.stdout or done.stderr)
    story.check("eci knows it", done.returncode == 0 and box.name in done.stdout)


def tell(story: Story, place: Place) -> None:
    """All chapters."""
    first, second = place.box(), place.box()
    try:
        ids(story, first, second)
        nodes(story, first)
        locks(story, first)
        inner_procfs(story, first)
        looking_in(story, place, second)
        without_supervisor(story, place, first)
        refusal(story, place)
    finally:
        for box in (first, second):
            box.remove()
    story.chapter("The end")
    wait_until(lambda: not list(place.state_dir.glob("c/*")), "nothing is left")
    story.check("no container has left anything", not list(place.state_dir.glob("c/*")))
