"""What create refuses: one sentence on stderr and in the log an engine reads, and nothing left behind."""
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.conftest import Launch, left_behind
from tests.support.bundle import Spec, bind, read_config, write_config
from tests.support.driver import Container, Result

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "runc", "crun", "seccomp_notify", "fuse")
Change = Callable[[Spec], object]


def without_namespace(kind: str) -> Change:
    def change(spec: Spec) -> None:
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != kind]

    return change


def with_namespace(kind: str, path: str) -> Change:
    def change(spec: Spec) -> None:
        without_namespace(kind)(spec)
        spec["linux"]["namespaces"].append({"type": kind, "path": path})

    return change


def seccomp(**section: object) -> Change:
    return lambda spec: spec["linux"].update(seccomp={"defaultAction": "SCMP_ACT_ALLOW", **section})


def own_maps(host: int) -> Change:
    def change(spec: Spec) -> None:
        mapping = [{"containerID": 0, "hostID": host, "size": 65536}]
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"].update(uidMappings=mapping, gidMappings=mapping)

    return change


# What is wrong with the spec, how, and a word that the sentence must have.
SPECS: dict[str, tuple[Change, str]] = {
    "no linux section": (lambda spec: spec.pop("linux"), "linux"),
    "host's network by path": (with_namespace("network", "/proc/1/ns/net"), "network"),
    "host's network by omission": (without_namespace("network"), "network"),
    "host's pid namespace": (without_namespace("pid"), "pid"),
    "host's ipc namespace": (without_namespace("ipc"), "ipc"),
    "host's uts namespace": (without_namespace("uts"), "uts"),
    "host's mount namespace": (without_namespace("mount"), "mount"),
    "host's ipc namespace by path": (with_namespace("ipc", "/proc/1/ns/ipc"), "ipc"),
    "maps with host root": (own_maps(0), "uidMappings"),
    "maps out of our pool": (own_maps(100000), "uidMappings"),
    "a listener of its own": (seccomp(listenerPath="/tmp/x.sock"), "listenerPath"),
    "a NOTIFY rule of its own": (seccomp(syscalls=[{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]), "SCMP_ACT_NOTIFY"),
    "user above the range": (lambda spec: spec["process"]["user"].update(uid=70000), "70000"),
    "rootfs that does not exist": (lambda spec: spec["root"].update(path="nowhere"), "nowhere"),
    "bind of host's /proc": (lambda spec: spec["mounts"].append(bind("/proc", "/mnt")), "/proc"),
    "bind of host's /sys": (lambda spec: spec["mounts"].append(bind("/sys", "/mnt")), "/sys"),
    "bind source that vanished": (lambda spec: spec["mounts"].append(bind("/no/such/source", "/mnt")), "/no/such/source"),
}


def refused(container: Container, result: Result, word: str) -> None:
    """One sentence that names the container and `word`, the same in the log; no container, lease, directory or process is left."""
    assert result.status != 0
    (sentence,) = result.err.splitlines()
    assert sentence.startswith(f"eci-runc: create {container.id}: ")
    assert word in sentence
    assert not sentence.endswith(".\n")
    records = [json.loads(line) for line in container.log.read_text().splitlines()]
    assert records[-1]["level"] == "error"
    assert records[-1]["msg"] in sentence
    assert container.runtime.run("state", container.id).status != 0
    assert not [left for left in left_behind(container.runtime) if container.id in left or "directory" in left]


@pytest.mark.parametrize("case", SPECS)
def test_spec(containers: Launch, case: str) -> None:
    container = containers()
    change, word = SPECS[case]
    spec = read_config(container.bundle)
    change(spec)
    write_config(container.bundle, spec)
    refused(container, container.create(), word)


NO_CONFIGS = (b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"linux": 1}', b'{"linux": {}, "root": 7, "mounts": "x"}', b"\xff")


@pytest.mark.parametrize("text", NO_CONFIGS)
def test_config_that_is_none(containers: Launch, text: bytes) -> None:
    """Not JSON, not an object, or not what the spec says: a sentence, never a traceback."""
    container = containers()
    (container.bundle / "config.json").write_bytes(text)
    refused(container, container.create(), "")


def test_config_that_is_missing(containers: Launch) -> None:
    container = containers()
    (container.bundle / "config.json").unlink()
    refused(container, container.create(), "config.json")


def test_config_that_cannot_be_read(containers: Launch) -> None:
    container = containers()
    (container.bundle / "config.json").unlink()
    (container.bundle / "config.json").mkdir()
    refused(container, container.create(), "config.json")


def test_no_pivot(containers: Launch) -> None:
    """The old root's procfs would stay in the namespace, and with it the way to a fresh one."""
    container = containers()
    refused(container, container.create("--no-pivot"), "--no-pivot")


@pytest.mark.parametrize("command", ["checkpoint", "restore"])
def test_checkpoint_and_restore(container: Container, command: str) -> None:
    result = container.runtime.run(command, container.id)
    assert result.status != 0
    assert command in result.err
    assert len(result.err.splitlines()) == 1
    assert container.state()["status"] == "running"


def test_missing_runtime(containers: Launch) -> None:
    container = containers()
    words = (f"--log={container.log}", "--log-format=json", "--real-runtime=/no/such/runtime")
    refused(container, container.runtime.run(*words, "create", f"--bundle={container.bundle}", container.id), "/no/such/runtime")


def test_failing_runtime_has_the_last_word(containers: Launch) -> None:
    """What the real runtime says of an error is what the user reads; nothing of ours is left."""
    container = containers(args=("/no/such/program",))
    result = container.create()
    assert result.status != 0
    assert "/no/such/program" in container.log.read_text()
    assert not [left for left in left_behind(container.runtime) if "directory" in left]


def test_caller_where_the_locks_do_not_hold(containers: Launch, playground: Path) -> None:
    """A procfs hidden below the root of the caller's mount namespace makes the kernel allow fresh ones: seen, and refused."""
    container = containers()
    new = playground / "new"
    new.mkdir()
    hide = f"mount --rbind / {new}; mount -t proc proc {new}/proc; cd {new}; mount --move . /; set -- chroot . \"$@\";"
    odd = Container(replace(container.runtime, before=hide), container.bundle, container.id)
    result = odd.create()
    new.rmdir()
    refused(container, result, "proc")


def test_root_of_a_user_namespace(containers: Launch) -> None:
    """Ids are the host's to give away."""
    container = containers()
    rootless = Container(replace(container.runtime, before='set -- unshare --user --map-root-user "$@";'), container.bundle, container.id)
    refused(container, rootless.create(), "user namespace")
