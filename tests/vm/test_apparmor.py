"""AppArmor: docker-default denies mounts, in containers too. Run in a guest by `make vm`: the test machine's kernel has no AppArmor.

Nothing is done in the name of who has a label that the mounter has not; what the kernel can do by itself it does, and asks that label.
"""
import json
import subprocess
import tempfile
from collections.abc import Iterator
from errno import EACCES
from pathlib import Path

import pytest

from tests.support.docker_client import admins_file
from tests.support.engine import Engine, running

CONFINED = "docker-default (enforce)\n"
ADMIN = "--cap-add=SYS_ADMIN"
LABEL = "AppArmor"  # in the event's why
# As with runc, whose container is root of the host's user namespace.
REFUSED = (
    "mount x /mnt tmpfs -", "mount p /mnt proc -", "mount s /mnt sysfs -", "mount /tmp /mnt - bind", "mount /tmp /mnt - bind+rec",
    "mount /proc /mnt - bind", "mount /proc /mnt - bind+rec", "mount - /proc - bind+remount+ro", "mount - /proc - remount+ro",
    "mount - / - private", "mount /dev/shm /mnt - move", "write /proc/self/attr/current changeprofile\\ unconfined",
)  # fmt: skip
NESTED = ("unshare mnt , mount p /mnt proc -", "userns , unshare mnt , mount x /mnt tmpfs -",
          "userns , unshare mnt+pid , fork , mount p /mnt proc -")  # fmt: skip
# docker-default denies mounts alone, and Linux 6.1 asks nobody about the calls that came after mount(2).
ALLOWED = ("umount /dev/mqueue -", "umount /proc -", "umount /mnt -", "umount /tmp/nowhere -",
           "open-tree /tmp", "fsopen tmpfs")  # fmt: skip
OWN_PROFILE = """profile eci-test flags=(attach_disconnected,mediate_deleted) {
  network, capability, file, umount, mount, signal, ptrace,
}"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="eci-", dir="/tmp") as name, running(Path(name), Path(name, "s")) as found:
        yield found


def probed(engine: Engine, *options: str, operations: tuple[str, ...]) -> dict[str, list[str]]:
    """What each gets, in one container; its label; which mounts have come (+) and gone (-)."""
    script = "; ".join(f"echo '# {one}'; probe {one}" for one in operations)
    table = "cut -d' ' -f2 /proc/self/mounts"
    shown = f"echo '# label'; cat /proc/self/attr/current; echo '# mounts'; {table} | diff /tmp/before - | grep '^[+-]/'"
    blocks = engine.run(*options, "box", "sh", "-c", f"{table} >/tmp/before; {script}; {shown}").out.split("# ")[1:]
    return {block.partition("\n")[0]: [line.partition(": ")[2] or line for line in block.splitlines()[1:]] for block in blocks}


def events(engine: Engine) -> list[dict[str, object]]:
    """Those of the container that was the last to start."""
    told = [json.loads(line) for line in (engine.directory / "audit/audit.jsonl").read_text().splitlines()]
    return told[max(number for number, event in enumerate(told) if event["call"] == "start") :]


def test_79_docker_default_denies_mounts_and_nothing_is_emulated(engine: Engine) -> None:
    operations = (*REFUSED, *NESTED, *ALLOWED)
    native = probed(engine, "--runtime=runc", ADMIN, operations=operations)
    ours = probed(engine, "--runtime=eci-runc", ADMIN, operations=(*operations, "fsopen proc", "fsopen sysfs", "open-tree /proc"))
    assert {one: ours[one] for one in operations} == {one: native[one] for one in operations}
    assert {tuple(ours[one]) for one in REFUSED} == {("EACCES",)}
    assert [ours[one][-1] for one in NESTED] == ["EACCES"] * len(NESTED)
    # What a locked tree would have been given for: as where nobody supervises.
    assert [ours[one] for one in ("fsopen proc", "fsopen sysfs", "open-tree /proc")] == [["EPERM"], ["EPERM"], ["EINVAL"]]
    assert ours["label"] == [CONFINED.strip()]
    assert ours["mounts"] == ["-/dev/mqueue"]
    told = [event for event in events(engine) if event["call"] not in ("start", "end")]
    assert {(event["verdict"], event["errno"], LABEL in str(event["why"])) for event in told} == {("deny", EACCES, True)}
    assert [event["rule"] for event in told].count("mount.new_tree") == 4


def test_in_system_mode_the_profile_is_dropped(engine: Engine) -> None:
    got = probed(engine, "--runtime=eci-runc-system", operations=("mount x /mnt tmpfs -", "mount p /mnt proc -", "mount s /mnt sysfs -"))
    assert [*got.values()][:4] == [["OK"], ["OK"], ["OK"], ["unconfined"]]
    assert "+/mnt/uptime" in got["mounts"]
    start = events(engine)[0]
    assert start["args"]["apparmor"] == "dropped"  # type: ignore[index] # a JSON object
    container = engine.detached("--runtime=eci-runc-system", "box", "sleep", "1000")
    script = "cat /proc/1/attr/current /proc/self/attr/current; mount -t tmpfs x /mnt && echo mounted"
    assert engine.docker("exec", container, "sh", "-c", script).ok().out == "unconfined\nunconfined\nmounted\n"
    engine.remove_all()


def test_unconfined_is_as_where_there_is_no_apparmor(engine: Engine) -> None:
    options = ("--runtime=eci-runc", ADMIN, "--security-opt", "apparmor=unconfined")
    got = probed(engine, *options, operations=("mount x /mnt tmpfs -", "umount /mnt -", "fsopen proc", "mount p /mnt proc -"))
    assert [*got.values()][:5] == [["OK"], ["OK"], ["OK"], ["OK"], ["unconfined"]]
    assert {"+/mnt", "+/mnt/uptime"} <= set(got["mounts"])
    assert events(engine)[0]["args"]["apparmor"] == "the engine's"  # type: ignore[index] # a JSON object


def test_it_is_the_label_of_the_thread_that_counts(engine: Engine) -> None:
    """A tree lies ready for the serving thread when one that has confined itself asks."""
    options = ("--runtime=eci-runc", ADMIN, "--security-opt", "apparmor=unconfined")
    confine = "mount p /mnt proc - , write /proc/self/attr/current changeprofile\\ docker-default , mount p /mnt proc -"
    got = probed(engine, *options, operations=(confine, "mount p /t proc -"))
    assert [got[confine], got["mount p /t proc -"]] == [["OK", "OK", "EACCES"], ["OK"]]
    assert [(event["verdict"], event["errno"]) for event in events(engine)[1:-1]] == [("emulate", 0), ("deny", EACCES), ("emulate", 0)]


def test_exec_has_the_containers_profile(engine: Engine) -> None:
    """With --privileged too: that gives capabilities alone."""
    container = engine.detached("--runtime=eci-runc", ADMIN, "box", "sleep", "1000")
    words = ("sh", "-c", "cat /proc/self/attr/current; probe mount p /mnt proc -; grep -c ' /mnt/uptime ' /proc/mounts")
    for options in ((), ("--privileged",)):
        assert engine.docker("exec", *options, container, *words).out == f"{CONFINED}mount: EACCES\n0\n"
    engine.remove_all()


def test_a_profile_that_allows_mounts(engine: Engine, tmp_path: Path) -> None:
    """Of it the kernel knows, and we do not: what only we could do is EACCES, and a remount, whose nodes would not follow."""
    (tmp_path / "profile").write_text(OWN_PROFILE)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", tmp_path / "profile"], check=True)
    options = ("--runtime=eci-runc", ADMIN, "--security-opt", "apparmor=eci-test")
    wanted = {"mount x /mnt tmpfs -": ["OK"], "umount /mnt -": ["OK"], "mount /tmp /mnt - bind": ["OK"], "mount p /t proc -": ["EACCES"],
              "mount /proc /t - bind": ["EINVAL"], "mount /proc /t - bind+rec": ["OK"], "mount - /t - bind+remount+ro": ["EACCES"],
              "umount /t -": ["EBUSY"], "umount /t detach": ["OK"]}  # fmt: skip
    got = probed(engine, *options, operations=tuple(wanted))
    assert {one: got[one] for one in wanted} == wanted
    # What an admin's rule wants judged, nobody can look at.
    with admins_file(engine) as path:
        path.write_text(json.dumps({"eci": {"syscalls": {"mountTypes": {"type": "deny", "list": ["overlay"]}}}}))
        got = probed(engine, *options, operations=("mount x /mnt tmpfs -", "mount x /mnt overlay -", "fsopen tmpfs"))
    assert [got[one] for one in ("mount x /mnt tmpfs -", "mount x /mnt overlay -", "fsopen tmpfs")] == [["EACCES"], ["EPERM"], ["EACCES"]]
